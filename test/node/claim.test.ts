import { createServer, type Server } from "node:http"
import { createServer as createTcpServer, type Server as NetServer } from "node:net"
import { HttpServer } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import type { ListenError } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import { PlatformHttpServer } from "effect-websockets/platform"
import { launch } from "../platform/support.js"
import { connect, echo, leavesNothing, listening, serveOn } from "./support.js"

/** Two of our servers on one of node's. */

const ours = (server: NetServer) => serveOn(echo, NodeListener.fromServer(server))

const routes = (server: Server) => launch(HttpServer.serve(PlatformHttpServer.upgrade(echo)), {}, () => server)

const sentence =
  "cannot listen on the server that was given: another server of effect-websockets answers its peers already, and two answers to one request would mix: give each a server of its own, or make both routes of one PlatformHttpServer"

const answers = (port: number) =>
  Effect.gen(function* () {
    const connection = yield* connect(`ws://127.0.0.1:${port}`)
    yield* connection.send("hello")
    assert.strictEqual(yield* connection.receive, "hello")
  })

describe("a server of node's", () => {
  const makers: ReadonlyArray<readonly [name: string, make: () => NetServer]> = [
    ["HTTP", () => createServer()],
    ["TCP", () => createTcpServer()]
  ]
  it.live.each(makers)("is for one WebSocketServer at a time, and for another one behind it (%s)", ([, make]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { server, port } = yield* listening(make)
        const scope = yield* Scope.make()
        yield* Scope.extend(ours(server), scope)
        const error: ListenError = yield* Effect.flip(ours(server))
        assert.strictEqual(error._tag, "ListenError")
        assert.strictEqual(error.message, sentence)
        yield* answers(port)
        yield* Scope.close(scope, Exit.void)
        yield* ours(server)
        yield* answers(port)
      })
    )
  )

  it.live("is for one of a server with routes and a WebSocketServer, whichever is first", () =>
    leavesNothing(
      Effect.gen(function* () {
        const first = createServer()
        const { port: own } = yield* routes(first)
        assert.strictEqual((yield* Effect.flip(ours(first))).message, sentence)
        const again = yield* Effect.flip(routes(first))
        assert.strictEqual(again._tag, "ServeError")
        yield* answers(own)

        const { server, port } = yield* listening(createServer)
        yield* ours(server)
        const error = yield* Effect.flip(routes(server))
        assert.deepInclude(error, { _tag: "ServeError" })
        assert.strictEqual((error.cause as ListenError).message, sentence)
        yield* answers(port)
      })
    )
  )
})
