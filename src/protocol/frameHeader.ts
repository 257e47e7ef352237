import * as CloseCode from "./CloseCode.js"
import * as Frame from "./Frame.js"

/** The first 2 to 14 bytes of a frame, and what they must satisfy. RFC 6455 §5.2. */

const wrong = (reason: string): Frame.Violation => Frame.violation(CloseCode.ProtocolError, reason)

/** How long the header at an offset is, as far as its first two bytes tell; 2 when they are not all there. */
export const sizeOf = (bytes: Uint8Array, at: number, end: number, masked: boolean): number => {
  if (end - at < 2) return 2
  const length = bytes[at + 1]! & 0x7f
  return (length < 126 ? 2 : length === 126 ? 4 : 10) + (masked ? 4 : 0)
}

export const readUint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/** The length of the payload that a whole header at an offset announces. */
export const readLength = (bytes: Uint8Array, at: number): number | Frame.Violation => {
  const short = bytes[at + 1]! & 0x7f
  if (short < 126) return short
  if (short === 126) {
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!
    // §5.2: the minimal number of bytes must be used.
    return length < 126 ? wrong("length not in its shortest form") : length
  }
  // §5.2: the most significant bit must be 0.
  if (bytes[at + 2]! >= 0x80) return wrong("length above 2^63")
  const length = readUint32(bytes, at + 2) * 0x100000000 + readUint32(bytes, at + 6)
  return length < 65536 ? wrong("length not in its shortest form") : length
}

/**
 * What the first two bytes of a frame must satisfy.
 *
 * @param masked whether the peer is a client.
 * @param isContinued whether a message has begun and is not complete.
 * @param rsvBits the reserved bits that agreed extensions own.
 */
export const check = (
  first: number,
  second: number,
  masked: boolean,
  isContinued: boolean,
  rsvBits: number
): Frame.Violation | undefined => {
  const opcode = first & 0x0f
  const rsv = (first >>> 4) & 0x07
  // §5.1: a client masks all its frames, a server none.
  if (second >= 0x80 !== masked) {
    return wrong(masked ? "frame of a client without a mask" : "frame of a server with a mask")
  }
  if (Frame.isControl(opcode)) return checkControl(opcode, first, second, rsv)
  if (opcode > Frame.Opcode.Binary) return wrong(`reserved opcode ${opcode}`)
  if (opcode === Frame.Opcode.Continuation) {
    // §5.4: a continuation belongs to a message that has begun, and nothing else may come inside of one.
    if (!isContinued) return wrong("continuation without a message to continue")
    return rsv === 0 ? undefined : wrong("continuation with reserved bits set")
  }
  if (isContinued) return wrong("new message inside of a fragmented one")
  // §5.2: bits that no agreed extension owns must be 0.
  return (rsv & ~rsvBits) === 0 ? undefined : wrong("reserved bits set without an extension that uses them")
}

const checkControl = (opcode: number, first: number, second: number, rsv: number): Frame.Violation | undefined => {
  if (opcode > Frame.Opcode.Pong) return wrong(`reserved opcode ${opcode}`)
  // §5.5: at most 125 bytes, never fragmented.
  if ((second & 0x7f) > Frame.maxControlPayload) return wrong("control frame longer than 125 bytes")
  if (first < 0x80) return wrong("fragmented control frame")
  // §5.2: no extension that we know gives these bits a meaning in control frames.
  return rsv === 0 ? undefined : wrong("control frame with reserved bits set")
}
