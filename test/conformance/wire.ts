import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"

/**
 * Frames as octets, both ways, written for the harness alone: what is under
 * test must not be what it is tested with, and what is forbidden has to be
 * sendable. RFC 6455 §5.2.
 */

export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const

/** As `FrameSpec.rsv` says it: RFC 7692 §6 has it say that a message is compressed. */
export const RSV1 = 4

/** Any frame at all, the ones that no endpoint may send included. */
export interface FrameSpec {
  /** 0 to 15. */
  readonly opcode: number
  readonly payload: Uint8Array
  /** True unless told otherwise. */
  readonly fin?: boolean
  /** RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  readonly rsv?: number
  /** How many octets say the length, minimal unless told otherwise. */
  readonly lengthForm?: 7 | 16 | 64
  /** The length that is announced, that of the payload unless told otherwise. */
  readonly announced?: bigint
  /** A masking key of four octets, none for an unmasked frame; random for clients unless told otherwise. */
  readonly maskingKey?: Uint8Array | "none"
}

/** XOR with the key, from the given position in the payload on. RFC 6455 §5.3. */
export const mask = (bytes: Uint8Array, key: Uint8Array, from = 0): Uint8Array => {
  const masked = new Uint8Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) masked[i] = bytes[i]! ^ key[(from + i) & 3]!
  return masked
}

const lengthFormOf = (length: bigint): 7 | 16 | 64 => (length <= 125n ? 7 : length <= 0xffffn ? 16 : 64)

let random = Buffer.alloc(0)

/** Drawn many at a time: a call for each would be a fifth of what fragments cost. */
const randomKey = (): Uint8Array => {
  if (random.length === 0) random = randomBytes(8_192)
  const key = random.subarray(0, 4)
  random = random.subarray(4)
  return key
}

const keyOf = ({ maskingKey }: FrameSpec, isClient: boolean): Uint8Array | undefined => {
  if (maskingKey === "none") return undefined
  return maskingKey ?? (isClient ? randomKey() : undefined)
}

/** A frame's head alone, and the key its payload is to be masked with. */
export const encodeHead = (
  frame: FrameSpec,
  isClient: boolean
): { readonly head: Uint8Array; readonly key: Uint8Array | undefined } => {
  const length = frame.announced ?? BigInt(frame.payload.length)
  const form = frame.lengthForm ?? lengthFormOf(length)
  const key = keyOf(frame, isClient)
  const first = ((frame.fin ?? true) ? 0x80 : 0) | ((frame.rsv ?? 0) << 4) | frame.opcode
  const maskBit = key === undefined ? 0 : 0x80
  const extended = Buffer.alloc(form === 7 ? 0 : form / 8)
  if (form === 16) extended.writeUInt16BE(Number(length))
  if (form === 64) extended.writeBigUInt64BE(length)
  const second = maskBit | (form === 7 ? Number(length) : form === 16 ? 126 : 127)
  return { head: Buffer.concat([Buffer.of(first, second), extended, key ?? Buffer.alloc(0)]), key }
}

export const encode = (frame: FrameSpec, isClient: boolean): Uint8Array => {
  const { head, key } = encodeHead(frame, isClient)
  return Buffer.concat([head, key === undefined ? frame.payload : mask(frame.payload, key)])
}

/** A frame that came. */
export interface Frame {
  readonly fin: boolean
  readonly rsv: number
  readonly opcode: number
  readonly isMinimal: boolean
  /** The masking key, undefined where it is not masked. */
  readonly key: Uint8Array | undefined
  readonly payload: Uint8Array
}

interface Head extends Omit<Frame, "payload"> {
  readonly size: number
  readonly length: number
}

/** The peer broke a rule; the code is what it is told. RFC 6455 §7.4.1. */
export class Misconduct extends Error {
  readonly code: number

  constructor(what: string, code = 1002) {
    super(what)
    this.code = code
  }
}

/** Takes octets in whatever pieces they come, gives whole frames. */
export class FrameReader {
  private chunks: Array<Uint8Array> = []
  private size = 0
  private head: Head | undefined

  push(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.size += chunk.length
  }

  /** The length of a frame whose head is there, and its payload is not. */
  get announced(): number | undefined {
    return this.head?.length
  }

  /** The next frame, or nothing until there is more. */
  next(): Frame | undefined {
    this.head ??= this.readHead()
    const { head } = this
    if (head === undefined || this.size < head.length) return undefined
    this.head = undefined
    const { size, length, ...rest } = head
    const payload = this.take(length)
    return { ...rest, payload: rest.key === undefined ? payload : mask(payload, rest.key) }
  }

  private readHead(): Head | undefined {
    if (this.size < 2) return undefined
    const whole = this.join()
    const short = whole[1]! & 0x7f
    const masked = (whole[1]! & 0x80) !== 0
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0
    const size = 2 + extended + (masked ? 4 : 0)
    if (whole.length < size) return undefined
    const length =
      extended === 0 ? BigInt(short) : extended === 2 ? BigInt(whole.readUInt16BE(2)) : whole.readBigUInt64BE(2)
    // §5.2: its first bit has to be 0.
    if (length >= 1n << 63n) throw new Misconduct("a length of 2^63 or more")
    this.take(size)
    return {
      fin: (whole[0]! & 0x80) !== 0,
      rsv: (whole[0]! >> 4) & 7,
      opcode: whole[0]! & 15,
      isMinimal: extended === (length <= 125n ? 0 : length <= 0xffffn ? 2 : 8),
      size,
      length: Number(length),
      key: masked ? Uint8Array.from(whole.subarray(size - 4, size)) : undefined
    }
  }

  private join(): Buffer {
    const [first] = this.chunks
    const whole =
      this.chunks.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.chunks)
    this.chunks = [whole]
    return whole
  }

  private take(length: number): Uint8Array {
    const whole = this.join()
    this.chunks = [whole.subarray(length)]
    this.size -= length
    return whole.subarray(0, length)
  }
}
