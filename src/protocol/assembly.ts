import { allocate, copyOf } from "./native.js"
import * as utf8 from "./utf8.js"

/** A part of a message that is received in fragments. */
export interface Piece {
  readonly data: string | Uint8Array
  /** Whether the message ends with it. */
  readonly final: boolean
}

/**
 * Up to here the memory for an announced payload is set aside at once; beyond
 * it grows with what really arrives, or a header of ten bytes could claim any amount.
 */
const TRUSTED = 1_048_576

/** One message in the making: its bytes so far, and how far they are valid UTF-8. */
export class Assembly {
  /** The bytes of payload received or announced so far, those already taken included. */
  size = 0
  private bytes: Uint8Array = new Uint8Array(0)
  private length = 0
  private state: utf8.State = utf8.Complete
  private dropped: boolean
  readonly isText: boolean
  /** The reserved bits of its first frame: which extensions have to decode it. */
  readonly rsv: number

  constructor(isText: boolean, rsv: number, dropped: boolean) {
    this.isText = isText
    this.rsv = rsv
    this.dropped = dropped
  }

  /** Whether its bytes are what extensions have made of it. */
  get isEncoded(): boolean {
    return this.rsv !== 0
  }

  /** A frame of this length follows. */
  expect(length: number, fin: boolean): void {
    this.size += length
    if (this.dropped || length === 0) return
    const wanted = this.length + Math.min(length, TRUSTED)
    if (wanted <= this.bytes.length) return
    // Exact for the last frame; a message in many fragments doubles, which copies each byte once on average.
    this.grow(fin ? wanted : Math.max(wanted, this.bytes.length * 2))
  }

  private grow(capacity: number): void {
    const larger = allocate(capacity)
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
  }

  /** Adds payload, copied out of the chunk; false as soon as a text cannot be UTF-8. */
  append(chunk: Uint8Array, start: number, end: number): boolean {
    // The bytes of a text that an extension has encoded are no text yet.
    if (this.isText && !this.isEncoded) {
      this.state = utf8.advance(this.state, chunk, start, end)
      if (this.state === utf8.Invalid) return false
    }
    if (this.dropped || start === end) return true
    const wanted = this.length + end - start
    if (wanted > this.bytes.length) this.grow(Math.max(wanted, this.bytes.length * 2))
    this.bytes.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end), this.length)
    this.length = wanted
    return true
  }

  /** Whether a text does not end inside a character. */
  isWhole(): boolean {
    return this.state === utf8.Complete
  }

  /** Forgets the content: it will not be handed over, but is still counted and checked. */
  drop(): void {
    this.dropped = true
    this.bytes = new Uint8Array(0)
    this.length = 0
  }

  /** The bytes where they lie, for whoever has no use for them afterwards. */
  get view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  /** The whole message; bytes in memory that holds nothing else, as what lies behind them is not cleared. */
  take(): string | Uint8Array {
    const { bytes, length } = this
    if (this.isText) return this.textTo(length)
    return length === bytes.length ? bytes : copyOf(bytes, 0, length)
  }

  /** The text up to an offset where no character is cut: `append` has validated it, so there is one. */
  private textTo(end: number): string {
    return utf8.decode(this.bytes, 0, end)!
  }

  /** What has come since the last piece; the bytes of a character that is not complete stay for the next. */
  takePiece(): string | Uint8Array {
    const keep = this.isText ? utf8.incompleteTail(this.bytes, 0, this.length) : 0
    const end = this.length - keep
    const piece = this.isText ? this.textTo(end) : copyOf(this.bytes, 0, end)
    this.bytes.copyWithin(0, end, this.length)
    this.length = keep
    return piece
  }
}
