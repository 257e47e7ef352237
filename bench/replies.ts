import { constants, inflateRawSync } from "node:zlib"
import type { Frames } from "./frames.js"

/** What one connection receives, checked and counted. */
export interface Replies {
  /** The bursts that these bytes answer in full, or what is wrong with one of the answers. */
  readonly count: (received: Buffer, length: number) => number | string
}

const hex = (bytes: Buffer): string => bytes.toString("hex", 0, 12).replace(/(..)(?=.)/g, "$1 ")

/**
 * The same bytes over and over: every chunk is compared with them, one memcmp, well under a microsecond, and answers are
 * counted by their bytes. Between two of them may stand a ping.
 */
export class SameReplies implements Replies {
  /** The stream from any point of a reply on, as long as a read can be. */
  private readonly expected: Buffer
  private readonly replyLength: number
  private readonly onPing: (payload: Buffer) => void
  /** How much of the next reply has arrived. */
  private partial = 0

  constructor(expected: Buffer, replyLength: number, onPing: (payload: Buffer) => void) {
    this.expected = expected
    this.replyLength = replyLength
    this.onPing = onPing
  }

  count(received: Buffer, length: number): number | string {
    const end = this.partial + length
    if (received.compare(this.expected, this.partial, end, 0, length) !== 0) return this.around(received, length)
    const replies = Math.floor(end / this.replyLength)
    this.partial = end - replies * this.replyLength
    return replies
  }

  /** What there is before and behind a ping, or how the bytes differ where there is none. §5.5.2. */
  private around(received: Buffer, length: number): number | string {
    let at = 0
    while (at < length && received[at] === this.expected[this.partial + at]) at++
    const offset = this.partial + at
    const end = at + 2 + (received[at + 1] ?? 0)
    if (offset % this.replyLength === 0 && received[at] === 0x89 && end <= length) {
      this.onPing(Buffer.from(received.subarray(at + 2, end)))
      this.partial = 0
      const after = this.count(received.subarray(end), length - end)
      return typeof after === "string" ? after : offset / this.replyLength + after
    }
    const due = hex(this.expected.subarray(offset))
    return `one differs at byte ${offset % this.replyLength}: ${due} was due, ${hex(received.subarray(at, length))} came`
  }
}

/**
 * Frames that say the same and may be compressed to other bytes: a server that flushes where its buffer ends sends an
 * empty block more. Mostly they are the same bytes too, and then nothing is inflated.
 */
export class DeflatedReplies implements Replies {
  private readonly reply: Buffer
  private readonly content: Buffer
  private rest: Buffer = Buffer.alloc(0)

  constructor({ reply, content }: Frames) {
    this.reply = reply
    this.content = content
  }

  count(received: Buffer, length: number): number | string {
    const bytes = Buffer.concat([this.rest, received.subarray(0, length)])
    let replies = 0
    let at = 0
    // Replies are 126 to 65,535 bytes long, so their length stands in the third and fourth byte.
    while (bytes.length - at >= 4) {
      const end = at + 4 + bytes.readUInt16BE(at + 2)
      if (bytes[at] !== this.reply[0] || bytes[at + 1] !== 126) return `one begins with ${hex(bytes.subarray(at))}`
      if (end > bytes.length) break
      if (!this.isRight(bytes.subarray(at, end))) return `one says something else: ${hex(bytes.subarray(at, end))}`
      replies++
      at = end
    }
    this.rest = bytes.subarray(at)
    return replies
  }

  private isRight(frame: Buffer): boolean {
    if (frame.equals(this.reply)) return true
    try {
      return inflateRawSync(frame.subarray(4), { finishFlush: constants.Z_SYNC_FLUSH }).equals(this.content)
    } catch {
      return false
    }
  }
}

/** A client's frames, each of which has a key of its own and says the same: each is unmasked and compared. §5.3. */
export class MaskedReplies implements Replies {
  /** The header as a client sends it, without the key. */
  private readonly head: Buffer
  private readonly content: Buffer
  private readonly frames: number
  private readonly unmasked: Int32Array
  private readonly bytes: Buffer
  private rest: Buffer = Buffer.alloc(0)
  private partial = 0

  constructor({ reply, content, replyFrames }: Frames) {
    this.head = Buffer.from(reply.subarray(0, reply.length / replyFrames - content.length))
    this.head[1] = (this.head[1] ?? 0) | 0x80
    this.content = content
    this.frames = replyFrames
    this.unmasked = new Int32Array(Math.ceil(content.length / 4))
    this.bytes = Buffer.from(this.unmasked.buffer)
  }

  count(received: Buffer, length: number): number | string {
    const bytes =
      this.rest.length === 0 ? received.subarray(0, length) : Buffer.concat([this.rest, received.subarray(0, length)])
    const keyAt = this.head.length
    const size = keyAt + 4 + this.content.length
    let at = 0
    for (; bytes.length - at >= size; at += size) {
      const payload = at + keyAt + 4
      if (bytes.compare(this.head, 0, keyAt, at, at + keyAt) !== 0) return this.difference(bytes, at)
      if (!this.says(bytes, at + keyAt, payload)) return `one says something else: ${hex(bytes.subarray(at))}`
      this.partial++
    }
    // A frame that is shorter than it should be would never be complete.
    const seen = Math.min(keyAt, bytes.length - at)
    if (bytes.compare(this.head, 0, seen, at, at + seen) !== 0) return this.difference(bytes, at)
    this.rest = Buffer.from(bytes.subarray(at))
    const whole = Math.floor(this.partial / this.frames)
    this.partial -= whole * this.frames
    return whole
  }

  private says(bytes: Buffer, keyAt: number, payload: number): boolean {
    const { content, unmasked } = this
    bytes.copy(this.bytes, 0, payload, payload + content.length)
    // As bytes.readInt32LE stands, so do typed arrays on every machine that Node runs on.
    const key = bytes.readInt32LE(keyAt)
    for (let i = 0; i < unmasked.length; i++) unmasked[i] = (unmasked[i] ?? 0) ^ key
    return this.bytes.compare(content, 0, content.length, 0, content.length) === 0
  }

  private difference(bytes: Buffer, at: number): string {
    return `one begins with ${hex(bytes.subarray(at))}, ${hex(this.head)} and a masking key were due`
  }
}
