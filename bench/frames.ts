import { constants, deflateRawSync } from "node:zlib"
import type { Message, Shape } from "./workloads.js"

/**
 * What a workload sends and has to get back, made here rather than by the library: a benchmark that encodes with the
 * code it measures would agree with its mistakes.
 */
export interface Frames {
  /** One burst, as it leaves the load generator: masked unless a client is under test. */
  readonly request: Buffer
  /** What a burst has to be answered with, as a server sends it; a client masks what is in it. */
  readonly reply: Buffer
  /** What a frame of the reply says, uncompressed. */
  readonly content: Buffer
  /** Messages that a burst stands for, and the frames of its answer. */
  readonly messages: number
  readonly replyFrames: number
}

// No byte of it is zero, so that a server which forgets to unmask is seen whatever the payload.
const maskingKey = Buffer.from([0x37, 0xfa, 0x21, 0x3d])

const opcodeOf = (type: Message["type"]): number => (type === "binary" ? 0x2 : 0x1)

export const makeFrames = (workload: Extract<Shape, { readonly message: Message }>): Frames => {
  const { message } = workload
  const content = contents[message.type](message.bytes)
  const first = 0x80 | opcodeOf(message.type)
  switch (workload.kind) {
    case "echo":
    case "broadcast": {
      const deflate = workload.kind === "echo" && workload.deflate === true
      const payload = deflate ? compressed(content) : content
      const head = deflate ? first | 0x40 : first
      return { request: masked(head, payload), reply: frame(head, payload), content, messages: 1, replyFrames: 1 }
    }
    case "receive":
    case "client": {
      const { every } = workload
      const encode = workload.kind === "client" ? frame : masked
      if (workload.kind === "client" && workload.direction === "send") {
        const reply = repeat(frame(first, content), every)
        return { request: frame(0x81, Buffer.from("more")), reply, content, messages: every, replyFrames: every }
      }
      const sum = Buffer.from(String(every * sizeOf(message, content)))
      const request = repeat(encode(first, content), every)
      return { request, reply: frame(0x81, sum), content: sum, messages: every, replyFrames: 1 }
    }
  }
}

/** What a receiver counts of a message: UTF-16 units of a string, bytes else. */
const sizeOf = ({ type }: Message, content: Buffer): number =>
  type === "binary" ? content.length : content.toString("utf8").length

const frame = (first: number, payload: Buffer): Buffer => Buffer.concat([header(first, payload.length, 0), payload])

/** As a client sends it. §5.3. */
export const masked = (first: number, payload: Buffer): Buffer =>
  Buffer.concat([
    header(first, payload.length, 0x80),
    maskingKey,
    payload.map((byte, i) => byte ^ (maskingKey[i & 3] ?? 0))
  ])

/** The reply as a client sends it. */
export const maskedReply = ({ reply, replyFrames }: Frames): Buffer => {
  const frame = reply.subarray(0, reply.length / replyFrames)
  const length = frame[1] ?? 0
  const payload = frame.subarray(length < 126 ? 2 : length === 126 ? 4 : 10)
  return repeat(masked(frame[0] ?? 0, payload), replyFrames)
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

/** Characters of one, two, three and four bytes, mostly of one; filled up with ASCII to the byte. */
const mixed = (bytes: number): Buffer => {
  const words = ["plain words, ", "naïve façade ", "日本語の文 ", "поток ", "🚀🎉 "]
  const parts: Array<string> = []
  let length = 0
  for (let i = 0; ; i++) {
    const word = words[(i * 7 + (i >> 2)) % words.length] ?? ""
    const size = Buffer.byteLength(word)
    if (length + size > bytes) break
    parts.push(word)
    length += size
  }
  return Buffer.from(parts.join("") + ".".repeat(bytes - length))
}

const contents = {
  text: (bytes: number) => filled(bytes, (i) => 0x20 + (i % 95)),
  binary: (bytes: number) => filled(bytes, (i) => (i * 31) & 0xff),
  json,
  mixed
} as const

/** What a client under test has to send. */
export const contentOf = ({ type, bytes }: Message): Buffer => contents[type](bytes)

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

/** The same so often, cut from one buffer: nobody has more than a window of them due. */
export const cut = (reply: Buffer, window: number): ((times: number) => Buffer) => {
  const whole = repeat(reply, window)
  return (times) => whole.subarray(0, times * reply.length)
}
