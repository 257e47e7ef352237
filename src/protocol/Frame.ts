import * as CloseCode from "./CloseCode.js"
import * as mask from "./mask.js"
import * as utf8 from "./utf8.js"

/**
 * Frames as values, the content of close frames, and the bytes of a frame.
 *
 * @see RFC 6455 §5.2
 */

/** What a frame means. RFC 6455 §5.2. */
export const Opcode = {
  Continuation: 0x0,
  Text: 0x1,
  Binary: 0x2,
  Close: 0x8,
  Ping: 0x9,
  Pong: 0xa
} as const

export type Opcode = (typeof Opcode)[keyof typeof Opcode]

/** Which end of the connection we are: a client masks what it sends, a server does not. */
export type Role = "client" | "server"

export interface Frame {
  /** Whether this is the last frame of its message. */
  readonly fin: boolean
  /** The reserved bits RSV1 (4), RSV2 (2) and RSV3 (1), which belong to extensions. */
  readonly rsv: number
  readonly opcode: Opcode
  readonly payload: Uint8Array
}

/** The content of a close frame. `NoStatusReceived` stands for a close frame without content. RFC 6455 §5.5.1. */
export interface Close {
  readonly code: number
  /** At most 123 bytes of UTF-8. */
  readonly reason: string
}

/** What a peer did wrong, as the close frame that answers it. */
export interface Violation {
  readonly _tag: "Violation"
  readonly code: number
  readonly reason: string
}

export const violation = (code: number, reason: string): Violation => ({ _tag: "Violation", code, reason })

/** The longest payload of a control frame, in bytes. RFC 6455 §5.5. */
export const maxControlPayload = 125

/** The longest reason of a close frame, in bytes of UTF-8: two bytes of the payload are the code. */
export const maxReason = maxControlPayload - 2

export const isControl = (opcode: number): boolean => opcode >= 0x8

/** A whole, unfragmented frame of the given opcode. */
export const make = (opcode: Opcode, payload: Uint8Array): Frame => ({ fin: true, rsv: 0, opcode, payload })

const empty = new Uint8Array(0)

/** A data frame that carries a whole text message. */
export const text = (message: string): Frame => make(Opcode.Text, utf8.encode(message))

/** A data frame that carries a whole binary message. */
export const binary = (message: Uint8Array): Frame => make(Opcode.Binary, message)

export const ping = (payload: Uint8Array = empty): Frame => make(Opcode.Ping, payload)

export const pong = (payload: Uint8Array = empty): Frame => make(Opcode.Pong, payload)

/** A close frame; without content where the code is `NoStatusReceived`. */
export const close = (content: Close): Frame => make(Opcode.Close, closePayload(content))

/** The payload of a close frame: two bytes of code, then the reason. RFC 6455 §5.5.1. */
export const closePayload = ({ code, reason }: Close): Uint8Array => {
  if (code === CloseCode.NoStatusReceived) return empty
  const bytes = utf8.encode(reason)
  const payload = new Uint8Array(2 + bytes.length)
  payload[0] = code >>> 8
  payload[1] = code
  payload.set(bytes, 2)
  return payload
}

/** Reads the payload of a close frame that a peer sent. */
export const parseClose = (payload: Uint8Array): Close | Violation => {
  if (payload.length === 0) return { code: CloseCode.NoStatusReceived, reason: "" }
  // §5.5.1: the first two bytes of the content are the code.
  if (payload.length === 1) return violation(CloseCode.ProtocolError, "close frame with half a close code")
  const code = (payload[0]! << 8) | payload[1]!
  if (!CloseCode.isValid(code)) return violation(CloseCode.ProtocolError, `close frame with invalid code ${code}`)
  const reason = utf8.decode(payload, 2, payload.length)
  if (reason === undefined) {
    return violation(CloseCode.InvalidFramePayloadData, "close frame with a reason that is not UTF-8")
  }
  return { code, reason }
}

/** The reason cut to what fits in a close frame, never inside a character. */
export const fitReason = (reason: string): string => {
  const bytes = utf8.encode(reason)
  if (bytes.length <= maxReason) return reason
  const whole = maxReason - utf8.incompleteTail(bytes, 0, maxReason)
  // What `encode` wrote is UTF-8, and no character of it is cut.
  return utf8.decode(bytes, 0, whole)!
}

/** The size of a header without its masking key: lengths stand in the shortest of three forms. RFC 6455 §5.2. */
export const headerSize = (length: number): number => (length < 126 ? 2 : length < 65536 ? 4 : 10)

/** Writes a header at an offset and returns where the masking key or the payload begins. */
export const writeHeader = (target: Uint8Array, at: number, first: number, masked: boolean, length: number): number => {
  target[at] = first
  const bit = masked ? 0x80 : 0
  if (length < 126) {
    target[at + 1] = bit | length
    return at + 2
  }
  if (length < 65536) {
    target[at + 1] = bit | 126
    target[at + 2] = length >>> 8
    target[at + 3] = length
    return at + 4
  }
  target[at + 1] = bit | 127
  const high = Math.floor(length / 0x100000000)
  for (let i = 0; i < 4; i++) {
    target[at + 2 + i] = high >>> (24 - 8 * i)
    target[at + 6 + i] = length >>> (24 - 8 * i)
  }
  return at + 10
}

/** Writes the four bytes of a masking key and returns where the payload begins. */
export const writeMaskingKey = (target: Uint8Array, at: number, key: number): number => {
  target[at] = key >>> 24
  target[at + 1] = key >>> 16
  target[at + 2] = key >>> 8
  target[at + 3] = key
  return at + 4
}

/** The first byte of a header. */
export const firstByte = (fin: boolean, rsv: number, opcode: Opcode): number => (fin ? 0x80 : 0) | (rsv << 4) | opcode

/**
 * A frame's bytes, in memory of their own.
 *
 * @param maskingKey 32 bits, for a frame of a client; a server's frames have none. RFC 6455 §5.1.
 */
export const serialize = (frame: Frame, maskingKey?: number | undefined): Uint8Array => {
  const { payload } = frame
  const masked = maskingKey !== undefined
  const bytes = new Uint8Array(headerSize(payload.length) + (masked ? 4 : 0) + payload.length)
  let at = writeHeader(bytes, 0, firstByte(frame.fin, frame.rsv, frame.opcode), masked, payload.length)
  if (masked) at = writeMaskingKey(bytes, at, maskingKey)
  bytes.set(payload, at)
  if (masked) mask.xor(bytes, at, bytes.length, maskingKey, 0)
  return bytes
}
