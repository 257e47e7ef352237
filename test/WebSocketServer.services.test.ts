import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Option } from "effect"
import { type Connection, Transport, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"

class Room extends Context.Tag("test/Room")<Room, string>() {}
class Principal extends Context.Tag("test/Principal")<Principal, string>() {}

/** A listener whose requests bring a service of their own, as those of a route do. */
const bringing = Layer.effect(
  Transport.Listener,
  Effect.map(Transport.Listener, ({ listen }) => ({
    listen: (acceptor: Transport.Acceptor) =>
      listen({
        arrived: (cut, wasAnswered) => acceptor.arrived(cut, wasAnswered),
        exchange: (exchange) => acceptor.exchange({ ...exchange, services: Context.make(Room, "green") })
      })
  }))
)

/** What a handler has, and what its connection shows, where a server of such a listener has these hooks. */
const found = (options: WebSocketServer.ServerOptions<Principal, Room, Room>) =>
  Effect.gen(function* () {
    const shown = yield* Deferred.make<Context.Context<never>>()
    const handler = (connection: Connection.Connection) =>
      Effect.gen(function* () {
        yield* Deferred.succeed(shown, connection.context)
        const principal = yield* Effect.serviceOption(Principal)
        yield* connection.send(`${yield* Room} ${Option.getOrElse(principal, () => "nobody")}`)
      })
    // What the type asks for comes with each request.
    const server = WebSocketServer.layer(handler, options) as Layer.Layer<
      WebSocketServer.WebSocketServer,
      never,
      Transport.Listener
    >
    const network = Testing.layer
    const context = yield* Layer.build(
      Layer.merge(server.pipe(Layer.provide(bringing)), WebSocketClient.layer).pipe(Layer.provideMerge(network))
    )
    const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), context)
    const message = yield* connection.receive
    return { message, handshake: connection.handshake, room: Context.getOption(yield* Deferred.await(shown), Room) }
  })

describe("services that come with a request", () => {
  it.scoped("are the handler's where there are no hooks", () =>
    Effect.gen(function* () {
      const { message, room } = yield* found({})
      assert.deepStrictEqual([message, room], ["green nobody", Option.some("green")])
    })
  )

  it.scoped("are the hooks' and the handler's where there are hooks, beside what these give", () =>
    Effect.gen(function* () {
      const { message, handshake, room } = yield* found({
        onRequest: () => Effect.map(Room, (room) => Context.make(Principal, `Ada of ${room}`)),
        onUpgrade: (response) => Effect.map(Room, (room) => HttpServerResponse.setHeader(response, "x-room", room))
      })
      assert.deepStrictEqual([message, room], ["green Ada of green", Option.some("green")])
      assert.deepInclude(handshake.response.headers, ["x-room", "green"])
    })
  )

  it.scoped("give way to what a hook gives for the same service", () =>
    Effect.gen(function* () {
      const { message } = yield* found({
        onRequest: () => Effect.succeed(Context.make(Room, "blue").pipe(Context.add(Principal, "Grace")))
      } as WebSocketServer.ServerOptions<Principal, Room, Room>)
      assert.strictEqual(message, "blue Grace")
    })
  )
})
