import { Buffer } from "node:buffer"
import { Deferred, Effect, Layer } from "effect"
import { Connection, Transport, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"

/** What tests in memory share: frames as a client sends them, and bytes as hex. */

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** Frames of a client, masked with a key that shows no payload, in one piece. */
export const masked = (...frames: ReadonlyArray<Frame.Frame>): Uint8Array =>
  Uint8Array.from(Buffer.concat(frames.map((frame) => Frame.serialize(frame, 0x01020304))))

/** Frames of a server, in one piece. */
export const plain = (...frames: ReadonlyArray<Frame.Frame>): Uint8Array =>
  Uint8Array.from(Buffer.concat(frames.map((frame) => Frame.serialize(frame))))

/** A stream with some of its operations replaced. */
export const replacing = (
  stream: Transport.ByteStream,
  parts: Partial<Transport.ByteStream>
): Transport.ByteStream => ({
  attach: (sink) => stream.attach(sink),
  write: (data) => stream.write(data),
  pause: () => stream.pause(),
  resume: () => stream.resume(),
  bufferedAmount: () => stream.bufferedAmount(),
  end: () => stream.end(),
  destroy: () => stream.destroy(),
  remoteAddress: () => stream.remoteAddress(),
  localAddress: () => stream.localAddress(),
  ...parts
})

/** Reads until so many bytes have come. */
export const readBytes = (peer: Testing.Peer, length: number): Effect.Effect<Uint8Array> =>
  Effect.gen(function* () {
    const chunks: Array<Uint8Array> = []
    let size = 0
    while (size < length) {
      const chunk = yield* peer.read
      if (chunk.length === 0) break
      chunks.push(chunk)
      size += chunk.length
    }
    return Uint8Array.from(Buffer.concat(chunks))
  })

/** Lets everything happen that can happen without time passing. */
export const settle = Testing.settle

/** A connection under test, the peer at its other end and the wire between them, which is cut when the test is over. */
export const open = (role: Connection.Role, options?: Connection.ConnectionOptions) =>
  Effect.gen(function* () {
    const { stream, peer, wire } = yield* Testing.makePair
    const connection = yield* Connection.make(role, stream, options)
    yield* Effect.addFinalizer(() => wire.cut)
    return { connection, peer, wire, stream }
  })

/** A server's acceptor, as its listener sees it. */
export const accepting = (
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  settings: WebSocketServer.ServerSettings = {}
) =>
  Effect.gen(function* () {
    const acceptor = yield* Deferred.make<Transport.Acceptor>()
    const listener = Layer.succeed(Transport.Listener, {
      listen: (given) => Effect.as(Deferred.succeed(acceptor, given), [])
    })
    yield* Layer.build(Layer.provide(WebSocketServer.layer(handler, settings), listener))
    return yield* Deferred.await(acceptor)
  })
