import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import {
  ask,
  closeFrame,
  eventually,
  leavesNothing,
  type Peer,
  rawConnect,
  requestText,
  serve,
  turns
} from "./support.js"

/** Draining on real sockets. */

const COUNT = 1_000
const DEAF = 100

/** A peer that is open, and what comes until its end; it answers a close frame unless it is deaf. */
const open = (port: number, isDeaf: boolean) =>
  Effect.gen(function* () {
    const peer: Peer = yield* rawConnect(port)
    yield* peer.write(requestText())
    yield* peer.head
    const told = yield* Effect.fork(
      Effect.gen(function* () {
        const bytes = yield* peer.take(4)
        if (isDeaf) yield* peer.rest
        else yield* Effect.zipRight(peer.write(closeFrame(1001)), peer.rest)
        return bytes.toString("hex")
      })
    )
    return told
  })

describe("a server that is drained", () => {
  it.live(
    `H12: with ${COUNT} connections, of which ${DEAF} never answer, is over in time; all have seen 1001, nothing is left`,
    () =>
      leavesNothing(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          let released = 0
          const layer = WebSocketServer.layer(
            ({ closed }) =>
              Effect.ensuring(
                closed,
                Effect.sync(() => released++)
              ),
            // closeTimeout stays what it is, 10 seconds: the deadline of the whole is what counts.
            { drain: { timeout: "3 seconds", jitter: "500 millis" } }
          )
          const context = yield* Layer.buildWithScope(
            Layer.provide(layer, NodeListener.layer({ port: 0, host: "127.0.0.1" })),
            scope
          )
          const { address } = Context.get(context, WebSocketServer.WebSocketServer)
          const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
          const { size } = Context.get(context, ConnectionRegistry.ConnectionRegistry)
          const peers = yield* Effect.forEach(
            Array.from({ length: COUNT }, (_, i) => i % (COUNT / DEAF) === 0),
            (isDeaf) => Effect.map(open(port, isDeaf), (told) => ({ isDeaf, told })),
            { concurrency: 20 }
          )
          yield* eventually(() => Effect.runSync(size) === COUNT)
          const begun = performance.now()
          const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
          // Who comes now is told to come later.
          yield* eventually(() => Effect.runSync(size) < COUNT)
          const late = yield* ask(port, requestText())
          assert.strictEqual(late.status, 503)
          assert.match(late.head, /^Retry-After: 5\r$/im)
          // All that answer are gone well before that.
          yield* eventually(() => Effect.runSync(size) === DEAF)
          assert.isBelow(performance.now() - begun, 3_000)
          yield* stopping
          const elapsed = performance.now() - begun
          assert.isAtLeast(elapsed, 2_900)
          assert.isBelow(elapsed, 5_000)
          const codes = yield* Effect.forEach(peers, ({ told }) => told)
          assert.deepStrictEqual(new Set(codes), new Set([closeFrame(1001, false).toString("hex")]))
          assert.strictEqual(codes.length, COUNT)
          assert.strictEqual(released, COUNT)
          assert.strictEqual(Effect.runSync(size), 0)
        })
      ),
    60_000
  )

  const LARGE = 8_000_000
  const pages: ReadonlyArray<readonly [string, string, number]> = [
    ["page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200],
    ["refusal", requestText(), 403]
  ]
  /** A server that is drained while an answer is on its way to a peer that has not read it yet. */
  const answering = (text: string, status: number, timeout: number) =>
    Effect.gen(function* () {
      const body = new Uint8Array(LARGE)
      const scope = yield* Scope.make()
      const { port } = yield* Scope.extend(
        serve(() => Effect.void, {
          drain: { timeout },
          onRequest: () => Effect.succeed(HttpServerResponse.uint8Array(body, { status }))
        }),
        scope
      )
      const peer = yield* rawConnect(port)
      yield* peer.write(text)
      yield* peer.head
      peer.socket.pause()
      return { peer, stopping: yield* Effect.fork(Scope.close(scope, Exit.void)) }
    })

  it.live.each(pages)("H12: lets a %s that is on its way arrive", ([, text, status]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { peer, stopping } = yield* answering(text, status, 15_000)
        yield* turns(50)
        assert.isNull(stopping.unsafePoll())
        peer.socket.resume()
        yield* peer.take(LARGE)
        yield* stopping
      })
    )
  )

  it.live.each(pages)("H12: waits no longer than its time for a %s that nobody reads", ([, text, status]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { peer, stopping } = yield* answering(text, status, 300)
        yield* stopping
        peer.socket.resume()
        assert.isBelow((yield* peer.rest).bytes.length, LARGE)
      })
    )
  )
})
