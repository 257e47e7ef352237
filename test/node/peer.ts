import { createHash } from "node:crypto"
import { once } from "node:events"
import { type AddressInfo, createServer, type Server as NetServer, connect as netConnect, Socket } from "node:net"
import { Duplex } from "node:stream"
import { type ConnectionOptions, connect as tlsConnect } from "node:tls"
import { Effect, Queue, Schedule, type Scope } from "effect"
import { assert } from "vitest"

/** Peers that speak bytes: raw clients, raw servers, and the bytes that they say. */

const MASK = Buffer.of(0x37, 0xfa, 0x21, 0x3d)

/** A frame as the other end writes it; a client masks, always with the same key here. */
export const frame = (
  opcode: number,
  payload: string | Uint8Array = "",
  { fin = true, masked = true }: { readonly fin?: boolean; readonly masked?: boolean } = {}
): Buffer => {
  const body = Buffer.from(payload as string)
  if (masked) for (let i = 0; i < body.length; i++) body[i]! ^= MASK[i & 3]!
  const { length } = body
  const size = length < 126 ? Buffer.alloc(1) : Buffer.alloc(length < 65_536 ? 3 : 9)
  if (length < 126) size[0] = length
  else if (length < 65_536) size.writeUInt16BE(length, 1)
  else size.writeBigUInt64BE(BigInt(length), 1)
  if (length >= 126) size[0] = length < 65_536 ? 126 : 127
  if (masked) size[0]! |= 0x80
  return Buffer.concat([Buffer.of((fin ? 0x80 : 0) | opcode), size, masked ? MASK : Buffer.alloc(0), body])
}

/** A close frame. */
export const closeFrame = (code: number, masked = true): Buffer =>
  frame(8, Buffer.of(code >> 8, code & 255), { masked })

export const KEY = "dGhlIHNhbXBsZSBub25jZQ=="
/** The answer to a key. RFC 6455 §4.2.2. */
export const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

/** A request as text; a field that is undefined is left out. */
export const requestText = (
  line = "GET / HTTP/1.1",
  fields: Readonly<Record<string, string | ReadonlyArray<string> | undefined>> = {}
): string => {
  const all = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    ...fields
  }
  const lines = Object.entries(all).flatMap(([name, values]) =>
    values === undefined ? [] : [values].flat().map((value) => `${name}: ${value}\r\n`)
  )
  return `${line}\r\n${lines.join("")}\r\n`
}

/** The other end of a socket: what it writes and reads is bytes. */
export class Peer {
  readonly socket: Duplex
  private chunks: Array<Buffer> = []
  private size = 0
  /** How the stream ended: `end`, or the code of its error. */
  ending: string | undefined
  private readonly looks = new Set<() => void>()

  constructor(socket: Duplex) {
    this.socket = socket
    const end = (how: string) => {
      this.ending ??= how
      this.look()
    }
    socket.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk)
      this.size += chunk.length
      this.look()
    })
    socket.on("end", () => end("end"))
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    socket.on("close", () => end("end"))
  }

  private get received(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]!
  }

  private look(): void {
    for (const look of [...this.looks]) look()
  }

  private when<A>(check: () => A | undefined): Effect.Effect<A> {
    return Effect.async((resume) => {
      const look = () => {
        const found = check()
        if (found !== undefined) resume(Effect.succeed(found))
        else if (this.ending !== undefined) {
          resume(
            Effect.dieMessage(
              `it ended (${this.ending}) after ${JSON.stringify(this.received.toString("latin1", 0, 300))}`
            )
          )
        } else return
        this.looks.delete(look)
      }
      this.looks.add(look)
      look()
      return Effect.sync(() => this.looks.delete(look))
    })
  }

  write(bytes: string | Uint8Array): Effect.Effect<void> {
    return Effect.sync(() => void this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes))
  }

  /** The next bytes, as many as that. */
  take(length: number): Effect.Effect<Buffer> {
    return this.when(() => {
      if (this.size < length) return undefined
      const { received } = this
      this.chunks = [received.subarray(length)]
      this.size -= length
      return received.subarray(0, length)
    })
  }

  /** The head of an HTTP message. */
  get head(): Effect.Effect<string> {
    return Effect.flatMap(
      this.when(() => {
        const at = this.received.indexOf("\r\n\r\n")
        return at < 0 ? undefined : at + 4
      }),
      (length) => Effect.map(this.take(length), (bytes) => bytes.toString("latin1"))
    )
  }

  /** Everything until the other end is done, and how it ended. */
  get rest(): Effect.Effect<{ readonly bytes: Buffer; readonly ending: string }> {
    return this.when(() => {
      if (this.ending === undefined) return undefined
      return { bytes: this.received, ending: this.ending }
    })
  }

  /** Cuts the connection with a reset; node cannot where its side has been ended. */
  get reset(): Effect.Effect<void> {
    return Effect.sync(() => {
      const { socket } = this
      if (socket instanceof Socket && !socket.writableEnded) socket.resetAndDestroy()
      else socket.destroy()
    })
  }
}

const peerOf = (open: () => Socket, event: string): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const socket = open()
      const peer = new Peer(socket)
      await once(socket, event)
      return peer
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** A raw TCP client, or one on a Unix socket. */
export const rawConnect = (to: number | string): Effect.Effect<Peer, never, Scope.Scope> =>
  peerOf(() => (typeof to === "number" ? netConnect(to, "127.0.0.1") : netConnect(to)), "connect")

/** The same over TLS, to any certificate. */
export const rawTls = (options: ConnectionOptions): Effect.Effect<Peer, never, Scope.Scope> =>
  peerOf(() => tlsConnect({ host: "127.0.0.1", rejectUnauthorized: false, ...options }), "secureConnect")

/** A peer that has asked for a WebSocket and got one. */
export const rawOpen = (to: number | string) =>
  Effect.tap(rawConnect(to), (peer) => Effect.zipRight(peer.write(requestText()), peer.head))

/** One that has begun to ask, and sends a byte now and then until it is cut. */
export const rawDripping = (to: number | string) =>
  Effect.gen(function* () {
    const slow = yield* rawConnect(to)
    yield* slow.write("GET / HTTP/1.1\r\nX: ")
    const drip = Effect.repeat(slow.write("x"), {
      schedule: Schedule.spaced("5 millis"),
      while: () => slow.ending === undefined
    })
    return { slow, dripping: yield* Effect.fork(drip) }
  })

/** Waits until a peer is cut, which is told nothing. */
export const cut = (peer: Peer): Effect.Effect<void> =>
  Effect.map(peer.rest, ({ bytes, ending }) => {
    assert.deepStrictEqual([bytes.length, ending === "end" || ending === "ECONNRESET"], [0, true])
  })

/** Starts a server of node's on a free port; its sockets end with the scope. */
export const listening = <S extends NetServer>(
  make: () => S
): Effect.Effect<{ server: S; port: number }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = make()
      const sockets = new Set<Socket>()
      server.on("connection", (socket: Socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return { server, sockets, port: (server.address() as AddressInfo).port }
    }),
    ({ server, sockets }) =>
      Effect.async<void>((resume) => {
        if (server.listening) server.close(() => resume(Effect.void))
        else resume(Effect.void)
        for (const socket of sockets) socket.destroy()
      })
  )

/** A raw TCP server, whose clients come one after the other. */
export const rawServer = Effect.gen(function* () {
  const peers = yield* Queue.unbounded<Peer>()
  const { port } = yield* listening(() =>
    createServer({ allowHalfOpen: true }, (socket) => void Effect.runSync(peers.offer(new Peer(socket))))
  )
  return { port, uri: `ws://127.0.0.1:${port}`, accept: Queue.take(peers) }
})

/** Two ends of a stream that is no socket: what one writes the other reads, later and without a copy. */
export const duplexPair = (): readonly [Duplex, Duplex] => {
  const make = (other: () => Duplex): Duplex =>
    new Duplex({
      read: () => {},
      write: (chunk, _, done) => {
        setImmediate(() => other().push(chunk))
        done()
      },
      final: (done) => {
        setImmediate(() => other().push(null))
        done()
      },
      destroy: (error, done) => {
        setImmediate(() => other().push(null))
        done(error)
      }
    })
  const near: Duplex = make(() => far)
  const far: Duplex = make(() => near)
  return [near, far]
}

/** What a raw peer gets for a text: status and headers, then everything until the end. */
export const ask = (port: number, text: string) =>
  Effect.gen(function* () {
    const peer = yield* rawConnect(port)
    yield* peer.write(text)
    const head = yield* peer.head
    const { bytes, ending } = yield* peer.rest
    return { head, status: Number(head.slice(9, 12)), body: bytes.toString(), ending }
  })
