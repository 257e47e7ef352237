import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib"
import { type Eventual, encodedAtOnce } from "../protocol/Extension.js"
import type { Deflater, DeflaterOptions, Fault, Inflater, InflaterOptions } from "../protocol/PerMessageDeflate.js"
import * as calls from "./deflateCalls.js"

/**
 * Compression with zlib's own contexts, driven synchronously: what a stream of
 * `node:zlib` has inside. That is private to Node, so it is tried out before
 * it is used, and `deflateCalls.ts` stands beside it: 1 KiB of JSON is
 * compressed in 2.7 µs here (6.7 where the context is reset) and in 13 there.
 */

type Stream = (DeflateRaw | InflateRaw) & Internals

/** What Node keeps to itself. */
interface Internals {
  readonly _handle: Handle
  /** After each call: the room that is left in the output, the input that is left. */
  readonly _writeState: Uint32Array
}

interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number
  ): void
  reset(): void
  onerror: (message: string) => void
}

const { Z_SYNC_FLUSH, Z_BLOCK } = constants

/** All results that come at once lie here, until the next. */
const scratch = Buffer.allocUnsafeSlow(65_536)

/** The room for a result: the scratch memory, or as much more as is needed and allowed. */
class Output {
  memory: Uint8Array = scratch
  size = 0
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  /** So many bytes may come, one more than the limit at the most. */
  room(): number {
    const most = this.limit + 1
    if (this.size === this.memory.length && this.size < most) {
      const larger = Buffer.allocUnsafeSlow(Math.min(most, this.memory.length * 2))
      larger.set(this.memory)
      this.memory = larger
    }
    return Math.min(this.memory.length, most) - this.size
  }

  get isTooLarge(): boolean {
    return this.size > this.limit
  }

  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.size)
  }
}

/** How far the tail of a message is read where it is whole: up to its last byte, which belongs to no block. */
const tail = Uint8Array.of(0, 0, 0xff, 0xff, 0)

/** A result that is still to come: what there is of it, and who gets it. */
interface Work {
  readonly chunks: Array<Uint8Array>
  size: number
  readonly limit: number
  readonly done: (result: Uint8Array | Fault) => void
}

/** One stream of zlib's. While it works by itself nothing else may be asked of it: Node would end the process. */
class Context {
  private readonly open: () => DeflateRaw | InflateRaw
  private stream: Stream
  private failed = false
  private work: Work | undefined

  constructor(open: () => DeflateRaw | InflateRaw) {
    this.open = open
    this.stream = this.start()
  }

  private start(): Stream {
    const stream = this.open() as Stream
    stream._handle.onerror = () => {
      this.failed = true
      this.settle("malformed")
    }
    // Whoever destroys it knows; who writes to it then gets no answer.
    stream.on("error", () => {})
    stream.on("data", (chunk: Uint8Array) => {
      const { work } = this
      if (work === undefined) return
      work.chunks.push(chunk)
      work.size += chunk.length
      if (work.size <= work.limit) return
      this.settle("too large")
      stream.destroy()
    })
    return stream
  }

  reset(): void {
    if (this.work !== undefined) throw new Error("a compressor cannot be reset while it is at work")
    this.failed = false
    this.stream._handle.reset()
  }

  /** Puts input through from an offset on; says how far it came: to its end, or to where the data end by themselves. */
  private run(flush: number, input: Uint8Array, from: number, output: Output): number {
    if (this.work !== undefined) throw new Error("a compressor cannot do two things at a time")
    const { _handle, _writeState } = this.stream
    for (let at = from; ; at = input.length - _writeState[1]!) {
      const room = output.room()
      _handle.writeSync(flush, input, at, input.length - at, output.memory, output.size, room)
      if (this.failed) return at
      output.size += room - _writeState[0]!
      if (_writeState[0]! > 0 || output.isTooLarge) return input.length - _writeState[1]!
    }
  }

  deflate(payload: Uint8Array): Uint8Array {
    const output = new Output(Number.POSITIVE_INFINITY)
    this.run(Z_SYNC_FLUSH, payload, 0, output)
    return calls.unflushed(output.bytes)
  }

  inflate(data: Uint8Array, limit: number): Uint8Array | Fault {
    const output = new Output(limit)
    let at = 0
    for (let streams = 1; streams <= calls.maxStreams; streams++) {
      at = this.run(Z_SYNC_FLUSH, data, at, output)
      if (this.failed) return "malformed"
      if (output.isTooLarge) return "too large"
      if (at === data.length) return this.complete(output)
      // The peer has ended the data itself, and others follow: RFC 7692 §7.2.3.4.
      this.reset()
    }
    return "malformed"
  }

  /** Reads what the sender has taken off: data that are cut short take it for their own, and so do not end where it ends. */
  private complete(output: Output): Uint8Array | Fault {
    const at = this.run(Z_BLOCK, tail, 0, output)
    if (this.failed) return "malformed"
    if (output.isTooLarge) return "too large"
    // None of it was read: the peer has ended the data itself.
    if (at === 0) this.reset()
    return at === 0 || at === tail.length - 1 ? output.bytes : "malformed"
  }

  deflateLater(payload: Uint8Array, done: (data: Uint8Array) => void): void {
    const work: Work = {
      chunks: [],
      size: 0,
      limit: Number.POSITIVE_INFINITY,
      // A compressor finds no fault with anything.
      done: (result) => done(calls.unflushed(result as Uint8Array))
    }
    this.work = work
    this.stream.write(payload)
    this.stream.flush(Z_SYNC_FLUSH, () => this.settle(Buffer.concat(work.chunks)))
  }

  inflateLater(data: Uint8Array, limit: number, done: (result: Uint8Array | Fault) => void): void {
    const work: Work = { chunks: [], size: 0, limit, done }
    this.work = work
    const before = this.stream.bytesWritten
    this.stream.write(data, () => {
      if (this.work !== work) return
      this.work = undefined
      const at = this.stream.bytesWritten - before
      const rest = limit - work.size
      const result = at < data.length ? this.anew().inflate(data.subarray(at), rest) : this.complete(new Output(rest))
      done(typeof result === "string" ? result : Buffer.concat([...work.chunks, result]))
    })
  }

  /** The same behind the end of a stream that has been told of it. */
  private anew(): this {
    this.stream.destroy()
    this.stream = this.start()
    return this
  }

  private settle(result: Uint8Array | Fault): void {
    const { work } = this
    this.work = undefined
    work?.done(result)
  }

  end(): void {
    this.work = undefined
    this.stream.destroy()
  }
}

const openDeflate = ({ windowBits, level, memLevel }: DeflaterOptions) =>
  new Context(() =>
    createDeflateRaw({ windowBits: calls.zlibWindowBits(windowBits), level, memLevel, chunkSize: 65_536 })
  )

const openInflate = ({ windowBits }: InflaterOptions) =>
  new Context(() => createInflateRaw({ windowBits: calls.zlibWindowBits(windowBits), chunkSize: 65_536 }))

/** The contexts of all that keep nothing from one message to the next: there are not many different ones. */
const shared = new Map<string, Context>()

const sharedContext = (key: string, open: () => Context): Context => {
  const found = shared.get(key) ?? open()
  shared.set(key, found)
  return found
}

/** A connection's own compressor. */
class KeptDeflater implements Deflater {
  private readonly context: Context

  constructor(options: DeflaterOptions) {
    this.context = openDeflate(options)
  }

  reset(): void {
    this.context.reset()
  }

  deflate(payload: Uint8Array): Eventual<Uint8Array> {
    if (payload.length <= encodedAtOnce) return this.context.deflate(payload)
    const copy = Uint8Array.from(payload)
    return (done) => this.context.deflateLater(copy, done)
  }

  end(): void {
    this.context.end()
  }
}

class KeptInflater implements Inflater {
  private readonly context: Context

  constructor(options: InflaterOptions) {
    this.context = openInflate(options)
  }

  inflate(data: Uint8Array, limit: number): Eventual<Uint8Array | Fault> {
    if (data.length <= encodedAtOnce) return this.context.inflate(data, limit)
    const copy = Uint8Array.from(data)
    return (done) => this.context.inflateLater(copy, limit, done)
  }

  end(): void {
    this.context.end()
  }
}

export const deflater = (options: DeflaterOptions): Deflater => {
  if (options.keepsContext) return new KeptDeflater(options)
  const { windowBits, level, memLevel } = options
  const context = sharedContext(`deflate ${windowBits} ${level} ${memLevel}`, () => openDeflate(options))
  const later = calls.deflater(options)
  return {
    deflate: (payload) => {
      if (payload.length > encodedAtOnce) return later.deflate(payload)
      context.reset()
      return context.deflate(payload)
    },
    reset: () => {},
    end: () => {}
  }
}

export const inflater = (options: InflaterOptions): Inflater => {
  if (options.keepsContext) return new KeptInflater(options)
  const context = sharedContext(`inflate ${options.windowBits}`, () => openInflate(options))
  const later = calls.inflater(options)
  return {
    inflate: (data, limit) => {
      if (data.length > encodedAtOnce) return later.inflate(data, limit)
      context.reset()
      return context.inflate(data, limit)
    },
    end: () => {}
  }
}

/** Whether Node has what is used here, and it does what it should. */
export const isUsable = (): boolean => {
  try {
    const { _handle, _writeState } = createInflateRaw() as Stream
    if (typeof _handle.writeSync !== "function" || typeof _handle.reset !== "function") return false
    if (!(_writeState instanceof Uint32Array) || _writeState.length !== 2) return false
    const message = Buffer.from("compressed, compressed and inflated, inflated")
    const options = { windowBits: 15, level: 6, memLevel: 8, keepsContext: false }
    const data = Uint8Array.from(deflater(options).deflate(message) as Uint8Array)
    const inflated = inflater(options).inflate(data, message.length)
    const cut = inflater(options).inflate(data.subarray(0, -1), message.length)
    return inflated instanceof Uint8Array && message.equals(inflated) && cut === "malformed"
  } catch {
    return false
  }
}
