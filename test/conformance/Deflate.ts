import { Buffer } from "node:buffer"
import { constants, deflateRawSync, inflateRawSync } from "node:zlib"
import type { Agreement, Side } from "./extensions.js"
import { inflate } from "./inflate.js"
import { Misconduct } from "./wire.js"

/**
 * The harness's own permessage-deflate. Each message is a call of its own with
 * what came before as dictionary, so that a context is taken over where it was
 * agreed, and cannot be where it was not. RFC 7692 §7.2.
 */

/** What a flush ends with and no message carries. RFC 7692 §7.2.1. */
const TAIL = Buffer.of(0, 0, 255, 255)

/** An empty block that says it is the last. RFC 1951 §3.2.4. */
const LAST = Buffer.of(1, 0, 0, 255, 255)

/** DEFLATE's own furthest reach. */
const MAX_BITS = 15

/** zlib's smallest window; it reaches 250 octets back, which fits in a window of 8 bits as well. */
const MIN_ZLIB_BITS = 9

const NOTHING = Buffer.alloc(0)

/** The last octets that a side's messages may reach back to. */
class History {
  bytes: Buffer = NOTHING
  private readonly side: Side

  constructor(side: Side) {
    this.side = side
  }

  push(message: Uint8Array): void {
    if (this.side.noContextTakeover) return
    const size = 2 ** this.side.windowBits
    if (message.length >= size) this.bytes = Buffer.from(message.subarray(message.length - size))
    else
      this.bytes = Buffer.concat([this.bytes.subarray(Math.max(0, this.bytes.length + message.length - size)), message])
  }
}

/** A row of messages that is sent on many connections, and which of them one is. */
export interface Place {
  readonly row: (n: number) => unknown
  readonly n: number
}

/** How much of what rows become is kept, in octets. */
const MOST_KEPT = 2 ** 28

/** What the messages of rows become where sides do the same: compressing them anew was a third of the suite's time. */
class Kept {
  private readonly rows = new Map<Place["row"], Map<string, Array<Uint8Array>>>()
  private size = 0

  get({ row, n }: Place, side: string): Uint8Array | undefined {
    return this.rows.get(row)?.get(side)?.[n]
  }

  put({ row, n }: Place, side: string, data: Uint8Array): void {
    const sides = this.rows.get(row) ?? new Map<string, Array<Uint8Array>>()
    const known = sides.get(side) ?? []
    known[n] = data
    this.rows.set(row, sides.set(side, known))
    this.size += data.length
    for (const [oldest, forgotten] of this.rows) {
      if (this.size <= MOST_KEPT || oldest === row) break
      this.rows.delete(oldest)
      for (const kept of forgotten.values()) this.size -= kept.reduce((sum, { length }) => sum + length, 0)
    }
  }
}

const kept = new Kept()

export class Deflate {
  readonly own: Side
  private readonly peer: Side
  private readonly sent: History
  private readonly received: History

  constructor({ own, peer }: Agreement) {
    this.own = own
    this.peer = peer
    this.sent = new History(own)
    this.received = new History(peer)
  }

  /** A message as its frames carry it; one in its place is the same there on every connection. */
  compress(message: Uint8Array, place?: Place): Uint8Array {
    const side = `${this.own.noContextTakeover} ${this.own.windowBits}`
    const known = place === undefined ? undefined : kept.get(place, side)
    const data = known ?? Buffer.from(this.deflate(message))
    if (place !== undefined && known === undefined) kept.put(place, side, data)
    this.sent.push(message)
    return data
  }

  private deflate(message: Uint8Array): Uint8Array {
    const { bytes } = this.sent
    const flushed = deflateRawSync(message, {
      finishFlush: constants.Z_SYNC_FLUSH,
      chunkSize: Math.max(1_024, message.length),
      memLevel: 8,
      windowBits: Math.max(MIN_ZLIB_BITS, this.own.windowBits),
      ...(bytes.length > 0 && { dictionary: bytes })
    })
    // §7.2.3.6: a message of nothing is one octet.
    return flushed.length > TAIL.length ? flushed.subarray(0, -TAIL.length) : Buffer.of(0)
  }

  /** Throws `Misconduct` where the message does not keep to what was agreed. */
  decompress(data: Uint8Array): Uint8Array {
    try {
      const message = this.inflate(Buffer.concat([data, TAIL]))
      this.received.push(message)
      return message
    } catch (error) {
      throw new Misconduct(`bad deflate data: ${error instanceof Error ? error.message : String(error)}`, 1007)
    }
  }

  private inflate(data: Uint8Array): Uint8Array {
    const { bytes } = this.received
    if (this.peer.windowBits < MAX_BITS) return inflate(data, bytes, 2 ** this.peer.windowBits)
    // Data that are all there end where a last block begins.
    return inflateRawSync(Buffer.concat([data, LAST]), {
      chunkSize: Math.max(1_024, 8 * data.length),
      ...(bytes.length > 0 && { dictionary: bytes })
    })
  }
}
