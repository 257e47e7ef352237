import { Buffer } from "node:buffer"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import { type Address, type ByteStream, type Sink, sharedReadBuffer, type WriteResult } from "../Transport.js"
import { codeOf, TransportError } from "../TransportError.js"
import { addressOf, show } from "./addresses.js"

/** A node socket, or any other Duplex, as the port's stream of bytes. */

/** What a socket of node's has beyond its documentation; `readDirectly` tests for each of it. */
interface Internals {
  readonly _handle?: { readonly useUserBuffer?: (buffer: Uint8Array) => void } | null
}

interface Slots {
  readonly buffer: symbol
  readonly callback: symbol
}

/** The properties in which a socket keeps the buffer that was given as the option `onread` (node's lib/net.js). */
const findSlots = (socket: Socket): Slots | undefined => {
  const symbols = Object.getOwnPropertySymbols(socket)
  const buffer = symbols.find(({ description }) => description === "kBuffer")
  const callback = symbols.find(({ description }) => description === "kBufferCb")
  return buffer === undefined || callback === undefined ? undefined : { buffer, callback }
}

/** The same for all sockets of this node, as far as is known. */
let slots: Slots | undefined

/**
 * Has a socket read into the memory that all connections share, as its option
 * `onread` would, which can only be given when a socket is made. Without a
 * buffer and an event for each read, echoing 64 bytes costs a quarter less.
 * Says false, and changes nothing, where node is not built that way.
 */
const readDirectly = (socket: Carrier): boolean => {
  const handle = (socket as Internals)._handle
  if (slots === undefined || !(slots.buffer in socket)) slots = findSlots(socket as Socket)
  if (slots === undefined || typeof handle?.useUserBuffer !== "function") return false
  const values = socket as unknown as Record<symbol, unknown>
  values[slots.buffer] = sharedReadBuffer
  values[slots.callback] = hasRead
  handle.useUserBuffer(sharedReadBuffer)
  return true
}

/** Whose socket or other stream it is, so that its listeners are the same functions for all of them. */
const STREAM = Symbol("effect-websockets/stream")

type Carrier = (Socket | Duplex) & { [STREAM]: NodeByteStream }

function hasRead(this: Carrier, length: number): void {
  this[STREAM].hasRead(sharedReadBuffer.subarray(0, length))
}

function hasFailed(this: Carrier, error: Error): void {
  this[STREAM].hasFailed(error)
}

function hasData(this: Carrier, chunk: Uint8Array): void {
  this[STREAM].hasData(chunk)
}

function hasEnded(this: Carrier): void {
  this[STREAM].hasEnded()
}

function hasClosed(this: Carrier): void {
  this[STREAM].hasClosed()
}

/** TLS takes what is written only later; up to here it is copied, so that the writer may go on. */
const COPIED = 65_536

const nothing = Buffer.alloc(0)

/** What is read ahead is kept up to here, in bytes; then the peer waits. */
const AHEAD = 65_536

/** Reads what comes before anybody wants it. */
class Ahead {
  private readonly socket: Duplex
  private readonly gone: () => void
  private readonly chunks: Array<Uint8Array> = []
  private size = 0
  hasEnded = false

  constructor(socket: Duplex, gone: () => void) {
    this.socket = socket
    this.gone = gone
    socket.on("data", this.onData).on("end", this.onEnd).on("close", gone)
    socket.resume()
  }

  private readonly onData = (chunk: Uint8Array): void => {
    this.chunks.push(chunk)
    this.size += chunk.length
    if (this.size >= AHEAD) this.socket.pause()
  }

  private readonly onEnd = (): void => {
    this.hasEnded = true
    this.gone()
  }

  stop(): ReadonlyArray<Uint8Array> {
    this.socket.off("data", this.onData).off("end", this.onEnd).off("close", this.gone)
    return this.chunks
  }
}

export class NodeByteStream implements ByteStream {
  private readonly socket: Carrier
  private head: Uint8Array | undefined
  /** What the peer is called in errors, where its address may not be known any more by then. */
  private readonly peer: string | undefined
  private readonly kind: "plain" | "tls" | "foreign"
  private sink: Sink | undefined
  private error: Error | undefined
  private isClosed = false
  private isPaused = false
  private awaitsDrain = false
  private ahead: Ahead | undefined
  private readonly written = (): void => {
    if (!this.awaitsDrain || this.socket.writableLength > 0) return
    this.awaitsDrain = false
    this.sink?.drain()
  }

  /** Made in the tick in which the socket is had: from here on its errors are heard. */
  constructor(socket: Socket | Duplex, head: Uint8Array, peer?: string) {
    this.socket = socket as Carrier
    this.socket[STREAM] = this
    this.head = head
    this.peer = peer
    this.kind = socket instanceof TLSSocket ? "tls" : socket instanceof Socket ? "plain" : "foreign"
    socket.on("error", hasFailed).on("close", hasClosed)
    if (socket instanceof Socket) {
      socket.setNoDelay(true)
      socket.setTimeout(0)
    }
  }

  /** For as long as no sink is attached: reads ahead, as nothing else tells that the peer has left. */
  watch(gone: () => void): void {
    this.ahead = new Ahead(this.socket, gone)
  }

  attach(sink: Sink): void {
    const { socket } = this
    if (this.head !== undefined && this.head.length > 0) this.read(sink, this.head)
    this.head = undefined
    for (const chunk of this.ahead?.stop() ?? []) this.read(sink, chunk)
    const early: Uint8Array | null = socket.read()
    if (early !== null) this.read(sink, early)
    this.sink = sink
    if (this.isClosed) {
      sink.closed(this.failure())
      return
    }
    if (this.ahead?.hasEnded === true) sink.end()
    else socket.on("end", hasEnded)
    this.ahead = undefined
    if (this.kind !== "plain" || !readDirectly(socket)) socket.on("data", hasData)
    // What came early may have been enough for now.
    if (this.isPaused) socket.pause()
    else socket.resume()
  }

  // From the socket

  hasRead(bytes: Uint8Array): void {
    this.sink!.data(bytes)
  }

  hasData(chunk: Uint8Array): void {
    this.read(this.sink!, chunk)
  }

  hasEnded(): void {
    this.sink!.end()
  }

  hasFailed(error: Error): void {
    this.error ??= error
  }

  hasClosed(): void {
    this.isClosed = true
    this.sink?.closed(this.failure())
  }

  /** The sink changes what it gets; memory of a stream that is not node's own may be somebody else's. */
  private read(sink: Sink, bytes: Uint8Array): void {
    sink.data(this.kind === "foreign" ? new Uint8Array(bytes) : bytes)
  }

  private failure(): TransportError | undefined {
    const { error } = this
    if (error === undefined) return undefined
    const peer = this.peer ?? show(this.remoteAddress())
    return new TransportError({ operation: "stream", peer, code: codeOf(error), cause: error })
  }

  write(bytes: Uint8Array): WriteResult {
    const { socket } = this
    if (socket.destroyed || socket.writableEnded) return "sent"
    // A stream that is not node's own may keep what it has taken for as long as it likes.
    const isPlain = this.kind === "plain"
    const copied = this.kind === "foreign" || (this.kind === "tls" && bytes.length <= COPIED)
    socket.write(copied ? Buffer.from(bytes) : bytes, isPlain ? undefined : this.written)
    const queued = socket.writableLength
    if (queued === 0 || (copied && queued <= COPIED)) return "sent"
    this.awaitsDrain = true
    // What the system takes at once needs nobody to be told, and that is most of it; what it does not take has this behind it.
    if (isPlain) socket.write(nothing, this.written)
    return queued < socket.writableHighWaterMark ? "queued" : "full"
  }

  pause(): void {
    this.isPaused = true
    this.socket.pause()
  }

  resume(): void {
    this.isPaused = false
    this.socket.resume()
  }

  bufferedAmount(): number {
    return this.socket.writableLength
  }

  end(): void {
    if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }

  remoteAddress(): Address | undefined {
    return remoteAddressOf(this.socket)
  }

  localAddress(): Address | undefined {
    const { socket } = this
    return socket instanceof Socket ? addressOf(socket.localAddress, socket.localPort) : undefined
  }
}

export const remoteAddressOf = (socket: Duplex): Address | undefined =>
  socket instanceof Socket ? addressOf(socket.remoteAddress, socket.remotePort) : undefined
