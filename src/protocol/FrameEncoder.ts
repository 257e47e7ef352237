import * as Extension from "./Extension.js"
import * as Frame from "./Frame.js"
import * as mask from "./mask.js"
import { allocateArena } from "./native.js"
import * as utf8 from "./utf8.js"

/**
 * Messages in, the bytes of frames out, written into memory that the caller provides.
 *
 * @see RFC 6455 §5
 */

/** Where masking keys come from: 32 unpredictable bits for each frame of a client. RFC 6455 §5.3, §10.3. */
export type MaskingKeys = () => number

export interface Options {
  /** Our end: a client masks what it sends, a server does not. RFC 6455 §5.1. */
  readonly role: Frame.Role
  readonly maskingKeys: MaskingKeys
  /** The agreed extensions, in order. */
  readonly codecs?: ReadonlyArray<Extension.Codec> | undefined
}

/** The longest header: two bytes, eight of length, four of masking key. */
export const maxHeader = 14

/** Where texts become bytes for extensions, which are done with them when they return. */
let texts: Uint8Array | undefined

/** A text's bytes; those of a short one lie where the next one's will. */
const bytesOf = (text: string): Uint8Array => {
  if (text.length * 3 > Extension.encodedAtOnce) return utf8.encode(text)
  texts ??= allocateArena(Extension.encodedAtOnce)
  return texts.subarray(0, utf8.write(texts, text, 0))
}

export class FrameEncoder {
  /** Whether payloads are masked, so that a caller's bytes cannot go out as they are. */
  readonly masked: boolean
  private readonly maskingKeys: MaskingKeys
  private readonly codecs: ReadonlyArray<Extension.Codec>

  constructor(options: Options) {
    this.masked = options.role === "client"
    this.maskingKeys = options.maskingKeys
    this.codecs = options.codecs ?? []
  }

  /** Whether messages pass through an extension, and with it through memory of their own. */
  get transforms(): boolean {
    return this.codecs.length > 0
  }

  /** The payload that the agreed extensions make of a message, under the terms of a codec, and their reserved bits. */
  transform(message: string | Uint8Array, compress?: boolean | undefined): ReturnType<typeof Extension.encode> {
    return Extension.encode(this.codecs, typeof message === "string" ? bytesOf(message) : message, compress)
  }

  /**
   * Writes a frame with a text at an offset and returns where it ends. The
   * target has `maxHeader` bytes more than three for each UTF-16 unit.
   *
   * The text is written behind a header of the size that it needs if it is
   * ASCII, so that its length is found and its bytes are made in one pass.
   */
  writeText(target: Uint8Array, at: number, opcode: Frame.Opcode, fin: boolean, text: string): number {
    const key = this.masked ? 4 : 0
    const guess = at + Frame.headerSize(text.length) + key
    const length = utf8.write(target, text, guess)
    const begin = at + Frame.headerSize(length) + key
    if (begin !== guess) target.copyWithin(begin, guess, guess + length)
    this.finish(target, at, Frame.firstByte(fin, 0, opcode), length)
    return begin + length
  }

  /** Writes a frame with a payload at an offset and returns where it ends; the target has `maxHeader` bytes more than the payload. */
  writeBytes(target: Uint8Array, at: number, opcode: Frame.Opcode, fin: boolean, payload: Uint8Array, rsv = 0): number {
    const length = payload.length
    const begin = at + Frame.headerSize(length) + (this.masked ? 4 : 0)
    target.set(payload, begin)
    this.finish(target, at, Frame.firstByte(fin, rsv, opcode), length)
    return begin + length
  }

  /** Writes the header before a payload that is in its place, and masks that. */
  private finish(target: Uint8Array, at: number, first: number, length: number): void {
    let begin = Frame.writeHeader(target, at, first, this.masked, length)
    if (this.masked) {
      const key = this.maskingKeys()
      begin = Frame.writeMaskingKey(target, begin, key)
      mask.xor(target, begin, begin + length, key, 0)
    }
  }

  /**
   * Writes only the header of a frame whose payload goes out from where it
   * lies, and returns where the header ends. A client's payload is masked in
   * place, so it has to be memory of ours.
   */
  writeHeaderOf(
    target: Uint8Array,
    at: number,
    opcode: Frame.Opcode,
    fin: boolean,
    payload: Uint8Array,
    rsv = 0
  ): number {
    const begin = Frame.writeHeader(target, at, Frame.firstByte(fin, rsv, opcode), this.masked, payload.length)
    if (!this.masked) return begin
    const key = this.maskingKeys()
    mask.xor(payload, 0, payload.length, key, 0)
    return Frame.writeMaskingKey(target, begin, key)
  }
}
