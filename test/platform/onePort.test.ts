import { FetchHttpClient, HttpApiClient, HttpServer } from "@effect/platform"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Logger, Scope } from "effect"
import { ConnectionClosed, ConnectionRegistry, WebSocketClient } from "effect-websockets"
import { NodeConnector } from "effect-websockets/node"
import { PlatformSocket } from "effect-websockets/platform"
import { Api, onePortServer, Sums } from "../../examples/one-port.js"
import { Random } from "../fuzz/random.js"
import { ask, connect, eventually, failureOf, portOf, rawConnect, requestText, turns } from "./support.js"

/** The example with everything on one port. */

const quiet = Logger.remove(Logger.defaultLogger)

const launched = Effect.gen(function* () {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  const context = yield* Layer.buildWithScope(Layer.provide(onePortServer({ port: 0 }), quiet), scope)
  const registry = Context.get(context, ConnectionRegistry.ConnectionRegistry)
  return {
    port: portOf(Context.get(context, HttpServer.HttpServer).address),
    registry,
    stop: Scope.close(scope, Exit.void)
  }
})

const rpc = (port: number) =>
  RpcClient.layerProtocolSocket().pipe(
    Layer.provide(PlatformSocket.layer(`ws://localhost:${port}/rpc`)),
    Layer.provide(WebSocketClient.layer),
    Layer.provide(NodeConnector.layer),
    Layer.provide(RpcSerialization.layerJson)
  )

/** Each thing that is there, and what nobody has, asked once; gives how many connections there were, with that of the procedures. */
const everything = (port: number) =>
  Effect.gen(function* () {
    const http = `http://localhost:${port}`
    const ws = `ws://localhost:${port}`
    const before = yield* Effect.scoped(
      Effect.gen(function* () {
        const sums = yield* RpcClient.make(Sums)
        assert.strictEqual(yield* sums.Add({ a: 20, b: 22 }), 42)
        const api = yield* HttpApiClient.make(Api, { baseUrl: http })
        const before = yield* api.connections.count()
        const echoing = yield* connect(`${ws}/echo`)
        yield* echoing.send("hello")
        assert.strictEqual(yield* echoing.receive, "hello")
        const chatting = [yield* connect(`${ws}/chat`), yield* connect(`${ws}/chat`)]
        yield* chatting[0]!.send("to all")
        for (const connection of chatting) assert.strictEqual(yield* connection.receive, "to all")
        assert.strictEqual(yield* api.connections.count(), before + 3)
        return before
      }).pipe(Effect.provide(Layer.merge(FetchHttpClient.layer, rpc(port))))
    )
    const page = yield* Effect.promise(() => fetch(http))
    assert.include(yield* Effect.promise(() => page.text()), "createTextNode")
    assert.include((yield* failureOf(connect(`${ws}/nowhere`))).message, "status 404")
    assert.strictEqual((yield* ask(port, requestText("GET /nowhere HTTP/1.1"))).status, 404)
    return before
  })

describe("one port", () => {
  it.scopedLive("has an HTTP API, a page, remote procedures and two WebSockets, and 404 for all else", () =>
    Effect.gen(function* () {
      const { port, stop } = yield* launched
      assert.strictEqual(yield* everything(port), 1)
      const connection = yield* connect(`ws://localhost:${port}/chat`)
      yield* stop
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
    })
  )

  it.scopedLive("answers as before when a thousand peers have reset at any moment of the handshake", () =>
    Effect.gen(function* () {
      const { port, registry, stop } = yield* launched
      const random = new Random(7)
      const paths = ["/", "/api/connections", "/rpc", "/echo", "/chat", "/nowhere"]
      const peers = Array.from({ length: 1_000 }, () => {
        const line = `GET ${random.pick(paths)} HTTP/1.1`
        const text = requestText(line, random.oneIn(5) ? { "Sec-WebSocket-Version": "8" } : {})
        // Half of them say all of it, and some of these more than that.
        const length = random.oneIn(2) ? text.length : random.below(text.length)
        return { text: text.slice(0, length), pause: random.below(6) }
      })
      yield* Effect.forEach(
        peers,
        ({ text, pause }) =>
          Effect.scoped(
            Effect.gen(function* () {
              const peer = yield* rawConnect(port)
              yield* peer.write(text)
              yield* turns(pause)
              yield* peer.reset
            })
          ),
        { concurrency: 16, discard: true }
      )
      yield* eventually(() => Effect.runSync(registry.size) === 0)
      assert.strictEqual(yield* everything(port), 1)
      const [time] = yield* Effect.timed(stop)
      assert.isBelow(Duration.toMillis(time), 5_000)
    })
  )
})
