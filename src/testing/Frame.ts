import * as mask from "../protocol/mask.js"
import * as utf8 from "../protocol/utf8.js"
import { describe, SHOWN } from "../trace.js"

/**
 * Frames as values to compare with and to send, those that no endpoint may
 * send included: `{ ...Frame.text("x"), rsv: 4 }` is one. Nothing is checked.
 *
 * @see RFC 6455 §5.2
 */

export interface Frame {
  /** Whether this is the last frame of its message. */
  readonly fin: boolean
  /** The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  readonly rsv: number
  /** 0 to 15. */
  readonly opcode: number
  /** Unmasked, and as an extension has encoded it where there is one. */
  readonly payload: Uint8Array
}

const bytesOf = (payload: string | Uint8Array): Uint8Array =>
  typeof payload === "string" ? utf8.encode(payload) : payload

/** A whole, unfragmented frame of any opcode. */
export const make = (opcode: number, payload: string | Uint8Array = ""): Frame => ({
  fin: true,
  rsv: 0,
  opcode,
  payload: bytesOf(payload)
})

/** Bytes instead of a string may be what is no UTF-8. */
export const text = (payload: string | Uint8Array): Frame => make(1, payload)

export const binary = (payload: Uint8Array): Frame => make(2, payload)

/** What goes on with a fragmented message and, unless `fin` is false, ends it. RFC 6455 §5.4. */
export const continuation = (payload: string | Uint8Array): Frame => make(0, payload)

export const ping = (payload?: string | Uint8Array): Frame => make(9, payload)

export const pong = (payload?: string | Uint8Array): Frame => make(10, payload)

/** A close frame with any code, be it one that never stands there; without content where there is none. RFC 6455 §5.5.1. */
export const close = (code?: number, reason: string | Uint8Array = ""): Frame => {
  if (code === undefined) return make(8)
  const bytes = bytesOf(reason)
  const payload = new Uint8Array(2 + bytes.length)
  payload[0] = code >>> 8
  payload[1] = code
  payload.set(bytes, 2)
  return make(8, payload)
}

/** What of a frame's bytes its value does not say. */
export interface SerializeOptions {
  /** 32 bits, the highest byte first; a frame without is not masked. RFC 6455 §5.3. */
  readonly maskingKey?: number | undefined
  /** How many bits say the length, as few as possible unless told otherwise. */
  readonly lengthForm?: 7 | 16 | 64 | undefined
  /** The length that is announced: that of the payload unless told otherwise. */
  readonly announced?: number | bigint | undefined
}

const formOf = (length: bigint): 7 | 16 | 64 => (length < 126n ? 7 : length < 65_536n ? 16 : 64)

/** A frame's bytes. */
export const serialize = (frame: Frame, options: SerializeOptions = {}): Uint8Array => {
  const { maskingKey } = options
  const { fin, opcode, payload, rsv } = frame
  const length = BigInt(options.announced ?? payload.length)
  const form = options.lengthForm ?? formOf(length)
  const extended = form === 7 ? 0 : form / 8
  const at = 2 + extended + (maskingKey === undefined ? 0 : 4)
  const bytes = new Uint8Array(at + payload.length)
  bytes[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  bytes[1] = (maskingKey === undefined ? 0 : 0x80) | (form === 7 ? Number(length) : form === 16 ? 126 : 127)
  for (let i = 0; i < extended; i++) bytes[2 + i] = Number((length >> BigInt(8 * (extended - 1 - i))) & 0xffn)
  bytes.set(payload, at)
  if (maskingKey !== undefined) {
    for (let i = 0; i < 4; i++) bytes[at - 4 + i] = maskingKey >>> (24 - 8 * i)
    mask.xor(bytes, at, bytes.length, maskingKey, 0)
  }
  return bytes
}

/** A frame in a line, as the log of frames has it: `TEXT "World" [5 bytes]`. Of a payload 48 bytes are shown at most. */
export const show = (frame: Frame): string => showWith(frame, "")

/** @internal */
export const showWith = (frame: Frame, remark: string): string =>
  describe({ ...frame, payload: frame.payload.subarray(0, SHOWN) }, frame.payload.length, remark)
