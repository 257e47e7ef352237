import { constants, deflateRaw, deflateRawSync, inflateRaw, inflateRawSync } from "node:zlib"
import { type Eventual, encodedAtOnce } from "../protocol/Extension.js"
import type { Deflater, DeflaterOptions, Fault, Inflater, InflaterOptions } from "../protocol/PerMessageDeflate.js"

/**
 * Compression by documented calls alone: a new compressor for each message,
 * which is told of those before it where it may refer to them. 24 µs for 1 KiB
 * of JSON there and back, against 8 with the contexts of `deflateContext.ts`.
 */

/** What a flush leaves at the end of a message, and the sender takes off. RFC 7692 §7.2.1. */
const flushed = Uint8Array.of(0, 0, 0xff, 0xff)
/** An empty last block: data that are all there end with it. RFC 1951 §3.2.4. */
const last = Uint8Array.of(1, 0, 0, 0xff, 0xff)

/** A message may end the deflate data and begin anew so often; each time costs a call, for two bytes of the peer's. */
export const maxStreams = 256

/** zlib's 8 is a 9 where it compresses, and no harm where it inflates: with 9 it refers back 250 bytes at most. */
export const zlibWindowBits = (windowBits: number): number => Math.max(windowBits, 9)

/** The latest content of one direction, as far as may be referred to it. */
class History {
  private content: Uint8Array | undefined
  private readonly size: number

  constructor({ windowBits, keepsContext }: InflaterOptions) {
    this.size = keepsContext ? 2 ** windowBits : 0
  }

  add(payload: Uint8Array): void {
    if (this.size === 0) return
    const before = (this.content ?? new Uint8Array(0)).subarray(-this.size)
    this.content = Buffer.concat([before, payload]).subarray(-this.size)
  }

  clear(): void {
    this.content = undefined
  }

  get dictionary(): { readonly dictionary?: Uint8Array } {
    return this.content === undefined || this.content.length === 0 ? {} : { dictionary: this.content }
  }
}

class CallDeflater implements Deflater {
  private readonly options: DeflaterOptions
  private readonly history: History

  constructor(options: DeflaterOptions) {
    this.options = options
    this.history = new History(options)
  }

  deflate(payload: Uint8Array): Eventual<Uint8Array> {
    const { windowBits, level, memLevel } = this.options
    const options = {
      windowBits: zlibWindowBits(windowBits),
      level,
      memLevel,
      finishFlush: constants.Z_SYNC_FLUSH,
      ...this.history.dictionary
    }
    this.history.add(payload)
    if (payload.length <= encodedAtOnce) return unflushed(deflateRawSync(payload, options))
    const copy = Uint8Array.from(payload)
    return (done) =>
      deflateRaw(copy, options, (error, data) => {
        // Only where there is no memory: then the call that does not return without a result says so.
        done(unflushed(error === null ? data : deflateRawSync(copy, options)))
      })
  }

  reset(): void {
    this.history.clear()
  }

  end(): void {
    this.history.clear()
  }
}

/** A message's data without the end of the flush. */
export const unflushed = (data: Uint8Array): Uint8Array => data.subarray(0, data.length - flushed.length)

/** What zlib says when it is asked for information as well. */
interface Inflated {
  readonly buffer: Uint8Array
  readonly engine: { readonly bytesWritten: number }
}

const faultOf = (error: unknown): Fault =>
  error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE" ? "too large" : "malformed"

class CallInflater implements Inflater {
  private readonly windowBits: number
  private readonly history: History

  constructor(options: InflaterOptions) {
    this.windowBits = zlibWindowBits(options.windowBits)
    this.history = new History(options)
  }

  inflate(data: Uint8Array, limit: number): Eventual<Uint8Array | Fault> {
    const input = Buffer.concat([data, flushed, last])
    if (data.length <= encodedAtOnce) return this.conclude(this.inflateNow(input, limit), input, limit)
    return (done) =>
      inflateRaw(input, this.options(limit), (error, result) => {
        // `info` changes what the result is, which its type does not say.
        const inflated = error === null ? (result as unknown as Inflated) : faultOf(error)
        done(this.conclude(inflated, input, limit))
      })
  }

  private options(limit: number) {
    const maxOutputLength = Math.max(1, Math.floor(Math.min(limit, 2 ** 32)))
    return { windowBits: this.windowBits, maxOutputLength, info: true, ...this.history.dictionary }
  }

  private inflateNow(input: Uint8Array, limit: number): Inflated | Fault {
    try {
      return inflateRawSync(input, this.options(limit)) as unknown as Inflated
    } catch (error) {
      return faultOf(error)
    }
  }

  /** Where the peer has ended the data itself, others may follow: RFC 7692 §7.2.3.4. */
  private conclude(first: Inflated | Fault, whole: Uint8Array, limit: number): Uint8Array | Fault {
    const parts: Array<Uint8Array> = []
    let inflated = first
    let input = whole
    let size = 0
    for (let streams = 1; streams <= maxStreams; streams++) {
      if (typeof inflated === "string") return inflated
      parts.push(inflated.buffer)
      size += inflated.buffer.length
      if (size > limit) return "too large"
      this.history.add(inflated.buffer)
      const { bytesWritten } = inflated.engine
      if (bytesWritten === input.length) return joined(parts)
      const rest = input.length - bytesWritten - flushed.length - last.length
      // §7.2.1: what was taken off may be the end of an empty last block too.
      if (rest < 0 && rest !== -flushed.length) return "malformed"
      this.history.clear()
      if (rest <= 0) return joined(parts)
      input = input.subarray(bytesWritten)
      inflated = this.inflateNow(input, limit)
    }
    return "malformed"
  }

  end(): void {
    this.history.clear()
  }
}

const joined = (parts: ReadonlyArray<Uint8Array>): Uint8Array =>
  parts.length === 1 ? parts[0]! : Buffer.concat([...parts])

export const deflater = (options: DeflaterOptions): Deflater => new CallDeflater(options)

export const inflater = (options: InflaterOptions): Inflater => new CallInflater(options)
