import { constants, deflateRawSync } from "node:zlib"
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
  /** What both say, uncompressed. */
  readonly content: Buffer
}

// No byte of it is zero, so that a server which forgets to unmask is seen whatever the payload.
const maskingKey = [0x37, 0xfa, 0x21, 0x3d] as const

export const makeFrames = ({ message, deflate }: Workload): Frames => {
  const content = contents[message.type](message.bytes)
  const payload = deflate ? compressed(content) : content
  const masked = payload.map((byte, i) => byte ^ maskingKey[(i & 3) as 0 | 1 | 2 | 3])
  const first = 0x80 | (deflate ? 0x40 : 0) | (message.type === "binary" ? 0x2 : 0x1)
  return {
    request: Buffer.concat([header(first, payload.length, 0x80), Buffer.from(maskingKey), masked]),
    reply: Buffer.concat([header(first, payload.length, 0), payload]),
    content
  }
}

const filled = (bytes: number, byteAt: (i: number) => number): Buffer => {
  const payload = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) payload[i] = byteAt(i)
  return payload
}

/** Rows as an application sends them: names that come again, values that mostly do not. */
const json = (bytes: number): Buffer => {
  const rows = Array.from({ length: bytes }, (_, i) => {
    const id = (i * 7919) % 100_003
    return { id, name: `user-${id % 977}`, active: id % 3 === 0, balance: (id * 37) / 100 }
  })
  return Buffer.from(JSON.stringify(rows).slice(0, bytes))
}

const contents = {
  text: (bytes: number) => filled(bytes, (i) => 0x20 + (i % 95)),
  binary: (bytes: number) => filled(bytes, (i) => (i * 31) & 0xff),
  json
} as const

/** RFC 7692 §7.2.1: flushed, and without the four bytes that a flush ends with. */
const compressed = (content: Buffer): Buffer =>
  deflateRawSync(content, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)

/** §5.2: the first byte, and the length in the shortest of its three forms. */
const header = (first: number, length: number, maskBit: 0 | 0x80): Buffer => {
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
