import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { Connection, type ConnectionClosed } from "effect-websockets"
import {
  acceptOf,
  certificate,
  closeFrame,
  connect,
  frame,
  leavesNothing,
  type Peer,
  rawConnect,
  rawServer,
  rawTls,
  requestText,
  serve,
  turns
} from "./support.js"

/** Echoes, closes when it is told to, and says how the connection ended. */
const watched = Effect.map(Queue.unbounded<ConnectionClosed.ConnectionClosed>(), (ends) => ({
  ends,
  handler: (connection: Connection.Connection) =>
    Effect.gen(function* () {
      yield* Effect.ignore(
        Connection.runForEach(connection, (message) =>
          message === "close" ? connection.close({ code: 3000 }) : connection.send(message)
        )
      )
      yield* Queue.offer(ends, yield* connection.closed)
    })
}))

type Stage = readonly [name: string, before: (peer: Peer) => Effect.Effect<unknown>]

const asks = (peer: Peer) => peer.write(requestText())
const opens = (peer: Peer) => Effect.zipRight(asks(peer), peer.head)

const beforeOpen: ReadonlyArray<Stage> = [
  ["right after connecting", () => Effect.void],
  ["in the middle of its request", (peer) => peer.write(requestText().slice(0, 60))]
]

const afterOpen: ReadonlyArray<Stage> = [
  ["after the 101", opens],
  ["after a message", (peer) => Effect.all([opens(peer), peer.write(frame(1, "hello")), peer.take(7)])],
  ["with an answer on its way", (peer) => Effect.all([opens(peer), peer.write(frame(2, Buffer.alloc(900_000)))])],
  ["in the middle of a header", (peer) => Effect.all([opens(peer), peer.write(frame(1, "hello").subarray(0, 1))])],
  ["in the middle of a frame", (peer) => Effect.all([opens(peer), peer.write(frame(1, "hello").subarray(0, 8))])],
  ["between two fragments", (peer) => Effect.all([opens(peer), peer.write(frame(1, "hel", { fin: false }))])]
]

const closing: ReadonlyArray<Stage> = [
  ["after our close frame", (peer) => Effect.all([opens(peer), peer.write(frame(1, "close")), peer.take(4)])]
]

const closed: ReadonlyArray<Stage> = [
  [
    "after both close frames",
    (peer) =>
      Effect.all([opens(peer), peer.write(frame(1, "close")), peer.take(4), peer.write(closeFrame(3000)), peer.rest])
  ],
  ["after its own close frame", (peer) => Effect.all([opens(peer), peer.write(closeFrame(1000)), peer.take(4)])]
]

/** A peer that does as the stage says, then resets; the server goes on, and nothing is left of that peer. */
const resetAfter = (stage: Stage[1]) =>
  Effect.gen(function* () {
    const { ends, handler } = yield* watched
    const { port } = yield* serve(handler)
    const peer = yield* rawConnect(port)
    yield* stage(peer)
    // With bytes that are still unread the system may make an end of a reset.
    yield* turns(5)
    yield* peer.reset
    const next = yield* connect(`ws://127.0.0.1:${port}`)
    yield* next.send("still there?")
    assert.strictEqual(yield* next.receive, "still there?")
    return ends
  })

describe("L6: a peer that resets", () => {
  it.live.each(beforeOpen)("%s reaches no handler", ([_, stage]) =>
    leavesNothing(
      Effect.gen(function* () {
        const ends = yield* resetAfter(stage)
        assert.strictEqual(yield* Queue.size(ends), 0)
      })
    )
  )

  it.live("after its request, before it is answered, is a lost connection at most", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (let i = 0; i < 50; i++) {
          const ends = yield* Effect.scoped(resetAfter(asks))
          const first = yield* Queue.poll(ends)
          if (first._tag === "Some") assert.notStrictEqual(first.value.closure.cause, undefined)
        }
      })
    )
  )

  it.live.each(afterOpen)("%s is a cause that the handler can see", ([_, stage]) =>
    leavesNothing(
      Effect.gen(function* () {
        const end = yield* Effect.flatMap(resetAfter(stage), Queue.take)
        assert.strictEqual(end.closure.sent, undefined)
        assert.strictEqual(end.closure.received, undefined)
        assert.strictEqual(end.closure.initiator, "remote")
        // Who has an answer on its way may be told by the write.
        assert.match(
          end.message,
          /^lost the connection to 127\.0\.0\.1:\d+: (read ECONNRESET|write (ECONNRESET|EPIPE))$/
        )
      })
    )
  )

  it.live.each(closing)("%s is a cause beside what we have said", ([_, stage]) =>
    leavesNothing(
      Effect.gen(function* () {
        const end = yield* Effect.flatMap(resetAfter(stage), Queue.take)
        assert.deepInclude(end.closure.sent, { code: 3000 })
        assert.strictEqual(end.closure.received, undefined)
        assert.strictEqual(end.closure.cause?._tag, "TransportError")
      })
    )
  )

  it.live.each(closed)("%s changes nothing about how it ended", ([_, stage]) =>
    leavesNothing(
      Effect.gen(function* () {
        const end = yield* Effect.flatMap(resetAfter(stage), Queue.take)
        assert.notStrictEqual(end.closure.sent, undefined)
        assert.notStrictEqual(end.closure.received, undefined)
        assert.strictEqual(end.closure.cause, undefined)
      })
    )
  )
})

describe("L6: a peer that resets TLS", () => {
  it.live("in its handshake, or on an open connection, is a value", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { ends, handler } = yield* watched
        const tls = yield* certificate
        const { port } = yield* serve(handler, { listen: { port: 0, host: "127.0.0.1", tls } })
        // The first bytes of a ClientHello, then the end.
        for (const bytes of ["", "\x16", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n\r\n"]) {
          const peer = yield* rawConnect(port)
          yield* peer.write(bytes)
          yield* peer.reset
        }
        const peer = yield* rawTls({ port })
        yield* opens(peer)
        // Ends what is below TLS without a word of TLS.
        yield* Effect.sync(() => peer.socket.destroy())
        const end = yield* Queue.take(ends)
        assert.notStrictEqual(end.closure.cause, undefined)
        const next = yield* connect(`wss://localhost:${port}`, {}, { tls: { ca: tls.cert } })
        yield* next.send("still there?")
        assert.strictEqual(yield* next.receive, "still there?")
      })
    )
  )
})

describe("L6: a server that resets", () => {
  const accepts = (server: Effect.Effect.Success<typeof rawServer>) =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(connect(server.uri))
      const peer = yield* server.accept
      const key = /sec-websocket-key: (.*)\r/i.exec(yield* peer.head)?.[1] ?? assert.fail("no key")
      yield* peer.write(
        `HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`
      )
      return { peer, connection: yield* Fiber.join(connecting) }
    })

  it.live.each<readonly [string, string]>([
    ["after the 101", ""],
    ["in the middle of a frame", "810568656c"],
    ["between two fragments", "010568656c6c6f"]
  ])("%s is what a receive, a send and a ping fail with", ([_, hex]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { peer, connection } = yield* accepts(yield* rawServer)
        const receiving = yield* Effect.fork(Effect.flip(connection.receive))
        yield* peer.write(Buffer.from(hex, "hex"))
        yield* turns(5)
        yield* peer.reset
        const error = yield* Fiber.join(receiving)
        assert.strictEqual(error._tag, "ConnectionClosed")
        assert.match(error.message, /^lost the connection to 127\.0\.0\.1:\d+: read ECONNRESET$/)
        assert.strictEqual(yield* Effect.flip(connection.send("x")), error)
        assert.strictEqual<unknown>(yield* Effect.flip(connection.ping), error)
        assert.deepStrictEqual(yield* connection.close(), error)
      })
    )
  )

  it.live("in the closing handshake does not fail close", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { peer, connection } = yield* accepts(yield* rawServer)
        const closing = yield* Effect.fork(connection.close())
        yield* peer.take(8)
        yield* peer.reset
        const { closure } = yield* Fiber.join(closing)
        assert.strictEqual(closure.sent?.code, 1000)
        assert.strictEqual(closure.cause?._tag, "TransportError")
      })
    )
  )
})
