import type { Workload } from "./workloads.js"

/**
 * The two frames of a workload, made here rather than by the library: a benchmark that encodes with the code it
 * measures would agree with its mistakes.
 */
export interface Frames {
  /** As the client sends it: masked. */
  readonly request: Buffer
  /** As the server must answer it: unmasked, otherwise the same. */
  readonly reply: Buffer
}

// No byte of it is zero, so that a server which forgets to unmask is seen whatever the payload.
const maskingKey = [0x37, 0xfa, 0x21, 0x3d] as const

export const makeFrames = ({ message }: Workload): Frames => {
  const payload = Buffer.alloc(message.bytes)
  for (let i = 0; i < payload.length; i++) payload[i] = message.type === "text" ? 0x20 + (i % 95) : (i * 31) & 0xff
  const masked = payload.map((byte, i) => byte ^ maskingKey[(i & 3) as 0 | 1 | 2 | 3])
  const opcode = message.type === "text" ? 0x1 : 0x2
  return {
    request: Buffer.concat([header(opcode, payload.length, 0x80), Buffer.from(maskingKey), masked]),
    reply: Buffer.concat([header(opcode, payload.length, 0), payload])
  }
}

/** §5.2: FIN, the opcode, and the length in the shortest of its three forms. */
const header = (opcode: number, length: number, maskBit: 0 | 0x80): Buffer => {
  const first = 0x80 | opcode
  if (length < 126) return Buffer.from([first, maskBit | length])
  if (length < 0x10000) return Buffer.from([first, maskBit | 126, length >>> 8, length & 0xff])
  const long = Buffer.alloc(10)
  long[0] = first
  long[1] = maskBit | 127
  long.writeBigUInt64BE(BigInt(length), 2)
  return long
}

/** The frame so often, back to back. */
export const repeat = (frame: Buffer, times: number): Buffer => Buffer.concat(new Array<Buffer>(times).fill(frame))
