import { createHash } from "node:crypto"
import { createServer as createNetServer, type Socket } from "node:net"
import { Duplex } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Scope } from "effect"
import type { Connection, WebSocketServer } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import {
  certificate,
  connect,
  duplexPair,
  echo,
  frame,
  leavesNothing,
  listening,
  Peer,
  rawConnect,
  rawTls,
  requestText,
  serve,
  serveOn,
  stalled,
  turns
} from "./support.js"

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown>

/** Starts a server whose connections read in a certain way, and says how raw peers reach it. */
type Path = (
  handler: Handler,
  options?: WebSocketServer.ServerOptions
) => Effect.Effect<Effect.Effect<Peer, never, Scope.Scope>, unknown, Scope.Scope>

/** A server whose sockets are changed, or replaced, before ours gets them. */
const through =
  (change: (socket: Socket) => Duplex): Path =>
  (handler, options) =>
    Effect.gen(function* () {
      // It listens nowhere: it only hands over connections.
      const ours = createNetServer()
      yield* serveOn(handler, NodeListener.fromServer(ours), options)
      const { port } = yield* listening(() =>
        createNetServer({ allowHalfOpen: true }, (socket) => void ours.emit("connection", change(socket)))
      )
      return rawConnect(port)
    })

const paths: ReadonlyArray<readonly [name: string, Path]> = [
  ["a socket of node's", (handler, options) => Effect.map(serve(handler, options), ({ port }) => rawConnect(port))],
  [
    "a socket whose inner parts are not as we know them",
    through((socket) => {
      Object.assign((socket as unknown as { readonly _handle: object })._handle, { useUserBuffer: undefined })
      return socket
    })
  ],
  [
    "TLS",
    (handler, options) =>
      Effect.gen(function* () {
        const tls = yield* certificate
        const { port } = yield* serve(handler, { ...options, listen: { port: 0, host: "127.0.0.1", tls } })
        return rawTls({ port })
      })
  ],
  ["a stream that is no socket", through((socket) => Duplex.from({ readable: socket, writable: socket }))]
]

const words = ["one", "", "three ✓"]
const frames = (masked: boolean) => Buffer.concat(words.map((word) => frame(1, word, { masked })))

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

describe.each(paths)("over %s", (_, path) => {
  it.live("messages glued to the request are not lost, wherever it is cut", () =>
    leavesNothing(
      Effect.gen(function* () {
        const open = yield* path(echo)
        const sent = Buffer.concat([Buffer.from(requestText()), frames(true)])
        const expected = frames(false)
        for (let cut = 1; cut <= sent.length; cut++) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const peer = yield* open
              yield* peer.write(sent.subarray(0, cut))
              yield* turns(2)
              yield* peer.write(sent.subarray(cut))
              assert.match(yield* peer.head, /^HTTP\/1\.1 101 /)
              assert.strictEqual((yield* peer.take(expected.length)).toString("hex"), expected.toString("hex"))
            })
          )
        }
      })
    )
  )

  it.live("the end of the peer's stream does not overtake the messages before it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const received: Array<unknown> = []
        const closed = yield* Deferred.make<unknown>()
        const open = yield* path((connection) =>
          Effect.gen(function* () {
            for (const _ of words) received.push(yield* connection.receive)
            yield* Deferred.succeed(closed, (yield* Effect.flip(connection.receive)).message)
          })
        )
        const peer = yield* open
        yield* Effect.sync(() => peer.socket.end(Buffer.concat([Buffer.from(requestText()), frames(true)])))
        assert.strictEqual(yield* Deferred.await(closed), "the peer's stream ended without a close frame")
        assert.deepStrictEqual(received, words)
      })
    )
  )

  it.live.each([1_048_576, 8_388_608])("a message of %d bytes arrives whole, both ways", (size) =>
    leavesNothing(
      Effect.gen(function* () {
        const open = yield* path(echo, { maxMessageSize: 8_388_608 })
        const peer = yield* open
        const message = Buffer.alloc(size)
        for (let i = 0; i < size; i += 997) message[i] = i
        yield* peer.write(requestText())
        yield* peer.head
        yield* peer.write(frame(2, message))
        const answer = yield* peer.take(size + 10)
        assert.strictEqual(answer.subarray(0, 10).toString("hex"), `827f${size.toString(16).padStart(16, "0")}`)
        assert.strictEqual(sha(answer.subarray(10)), sha(message))
      })
    )
  )

  it.live("messages that come while the request hook thinks are not lost", () =>
    leavesNothing(
      Effect.gen(function* () {
        const asked = yield* Deferred.make<void>()
        const decided = yield* Deferred.make<void>()
        const onRequest = () => Effect.zipRight(Deferred.succeed(asked, undefined), Deferred.await(decided))
        const open = yield* path(echo, { onRequest })
        const peer = yield* open
        yield* peer.write(Buffer.concat([Buffer.from(requestText()), frame(1, "glued")]))
        yield* Deferred.await(asked)
        yield* peer.write(frames(true))
        yield* turns(5)
        yield* Deferred.succeed(decided, undefined)
        yield* peer.head
        const expected = Buffer.concat([frame(1, "glued", { masked: false }), frames(false)])
        assert.strictEqual((yield* peer.take(expected.length)).toString("hex"), expected.toString("hex"))
      })
    )
  )

  it.live.each([4_096, 262_144])(
    "D4: a handler that takes nothing stops the reading at %d bytes until it goes on",
    (mark) =>
      leavesNothing(
        Effect.gen(function* () {
          const total = 640
          const taking = yield* Deferred.make<void>()
          const batches: Array<number> = []
          const done = yield* Deferred.make<void>()
          const open = yield* path(
            (connection) =>
              Effect.gen(function* () {
                yield* Deferred.await(taking)
                for (let count = 0; count < total; count += batches.at(-1)!) {
                  batches.push((yield* connection.receiveAll).length)
                }
                yield* Deferred.succeed(done, undefined)
                yield* connection.closed
              }),
            { receiveHighWaterMark: mark }
          )
          const peer = yield* open
          const message = frame(2, Buffer.alloc(65_000))
          // The first ones come with the request.
          const small = Buffer.concat(Array.from({ length: 40 }, () => frame(2, Buffer.alloc(250))))
          yield* peer.write(Buffer.concat([Buffer.from(requestText()), small]))
          for (let i = 0; i < total - 40; i++) yield* peer.write(message)
          yield* stalled(() => peer.socket.writableLength)
          assert.isAbove(peer.socket.writableLength, 16 * 1_048_576)
          yield* Deferred.succeed(taking, undefined)
          yield* Deferred.await(done)
          // One chunk at most came on top of the mark.
          assert.isAtMost(Math.max(...batches), 48)
        })
      )
  )

  it.live("D4: a peer that does not read holds up send, and then gets everything in order", () =>
    leavesNothing(
      Effect.gen(function* () {
        const total = 600
        let sent = 0
        let most = 0
        const open = yield* path((connection) =>
          Effect.gen(function* () {
            for (; sent < total; sent++) {
              yield* connection.send(Buffer.alloc(65_000, sent))
              most = Math.max(most, yield* connection.bufferedAmount)
            }
          })
        )
        const peer = yield* open
        yield* peer.write(requestText())
        yield* peer.head
        peer.socket.pause()
        yield* stalled(() => sent)
        assert.isBelow(sent, total)
        assert.isAtMost(most, 262_144 + 2 * 65_004)
        peer.socket.resume()
        const all = yield* peer.take(total * 65_004)
        for (let i = 0; i < total; i++) {
          assert.strictEqual(all[i * 65_004 + 4], i & 255)
          assert.strictEqual(all[i * 65_004 + 65_003], i & 255)
        }
      })
    )
  )
})

describe("a stream that is no socket", () => {
  it.live("keeps its bytes as they are while we unmask ours", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [near, far] = duplexPair()
        yield* serveOn(echo, NodeListener.fromDuplex(near))
        const peer = new Peer(far)
        const written = [Buffer.concat([Buffer.from(requestText()), frame(1, "glued")]), frame(1, "apart")]
        const copies = written.map((bytes) => Buffer.from(bytes))
        yield* peer.write(written[0]!)
        yield* peer.head
        yield* peer.take(7)
        yield* peer.write(written[1]!)
        yield* peer.take(7)
        far.destroy()
        assert.deepStrictEqual(written, copies)
      })
    )
  )
})

describe("two ends of ours", () => {
  it.live("exchange messages of 1 MiB in both directions at a time", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        const count = 16
        const messages = Array.from({ length: count }, (_, i) => new Uint8Array(1_048_576).fill(i))
        const [received] = yield* Effect.all(
          [
            Effect.replicateEffect(
              Effect.map(connection.receiveBytes, (bytes) => [bytes.length, bytes[0], bytes.at(-1)]),
              count
            ),
            connection.sendAll(messages)
          ],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          received,
          messages.map((_, i) => [1_048_576, i, i])
        )
      })
    )
  )
})
