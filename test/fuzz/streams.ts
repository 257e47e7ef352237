import { Buffer } from "node:buffer"
import * as Frame from "../../src/protocol/Frame.js"
import type { Random } from "./random.js"

/** What a peer may say: conversations as the protocol wants them, and what is left of them after damage. */

/** A frame whose header need not be right. */
interface RawFrame {
  readonly first: number
  readonly payload: Uint8Array
  readonly masked: boolean
  readonly key: number
  /** In how many bytes the length stands; the shortest form unless told otherwise. */
  readonly form?: 1 | 2 | 8 | undefined
  /** The length that the header claims, where it is not the payload's. */
  readonly claimed?: bigint | undefined
}

const shortestForm = (length: bigint): 1 | 2 | 8 => (length < 126n ? 1 : length < 65536n ? 2 : 8)

const serialize = ({ first, payload, masked, key, form, claimed }: RawFrame): Uint8Array => {
  const length = claimed ?? BigInt(payload.length)
  const size = form ?? shortestForm(length)
  const header = Buffer.alloc((size === 1 ? 2 : 2 + size) + (masked ? 4 : 0))
  header[0] = first
  header[1] = (masked ? 0x80 : 0) | (size === 1 ? Number(length & 0x7fn) : size === 2 ? 126 : 127)
  if (size === 2) header.writeUInt16BE(Number(length & 0xffffn), 2)
  if (size === 8) header.writeBigUInt64BE(length, 2)
  if (!masked) return Buffer.concat([header, payload])
  header.writeUInt32BE(key, header.length - 4)
  // Written apart from src's own masking, which is under test.
  const at = header.length - 4
  return Buffer.concat([header, payload.map((byte, i) => byte ^ header[at + (i & 3)]!)])
}

/** Sizes where a header, a limit of the modes, or a fast path begins or ends. */
const sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 124, 125, 126, 127, 128, 299, 300, 301, 511, 513, 600, 601]
const largeSizes = [999, 1000, 1001, 4095, 4096, 4097]
const hugeSizes = [65535, 65536, 65537]

const size = (random: Random): number =>
  random.oneIn(400)
    ? random.pick(hugeSizes)
    : random.oneIn(12)
      ? random.pick(largeSizes)
      : random.oneIn(3)
        ? random.pick(sizes)
        : random.below(40)

/** First and last character of what takes one, two, three (below and above the surrogates) and four bytes. */
const ranges: ReadonlyArray<readonly [number, number]> = [
  [0x00, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, 0x10ffff]
]

const character = (random: Random): string => {
  const [first, last] = random.pick(ranges)
  const code = random.oneIn(6) ? random.pick([first, last]) : first + random.below(last - first + 1)
  return String.fromCodePoint(code)
}

const text = (random: Random): Uint8Array => {
  const length = size(random)
  if (length < 128) return Buffer.from(Array.from({ length }, () => character(random)).join(""))
  const isAscii = random.oneIn(2)
  const unit = isAscii ? "abcd" : Array.from({ length: 5 }, () => character(random)).join("")
  return Buffer.from(unit.repeat(Math.ceil(length / Buffer.byteLength(unit)))).subarray(0, isAscii ? length : undefined)
}

/** What is no UTF-8: overlong forms, surrogates, too large, cut, and bytes that never occur. */
const notUtf8 = [
  "c080",
  "e08080",
  "f0808080",
  "eda080",
  "edbfbf",
  "f4908080",
  "f8",
  "ff",
  "80",
  "bf",
  "c3",
  "e282",
  "f09f98"
]

const closeCodes = [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999]
const badCloseCodes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]

const closePayload = (random: Random): Uint8Array => {
  if (random.oneIn(4)) return new Uint8Array(0)
  if (random.oneIn(10)) return random.bytes(1)
  const code = random.pick(random.oneIn(6) ? badCloseCodes : closeCodes)
  const reason = random.oneIn(8) ? Buffer.from(random.pick(notUtf8), "hex") : text(random).subarray(0, 20)
  return Buffer.concat([Uint8Array.of(code >>> 8, code & 0xff), reason])
}

const control = (random: Random): Pick<RawFrame, "first" | "payload"> => ({
  first: 0x80 | random.pick([Frame.Opcode.Ping, Frame.Opcode.Pong]),
  payload: random.bytes(random.oneIn(3) ? random.pick([0, 4, 124, 125]) : random.below(8))
})

type Frames = ReadonlyArray<Pick<RawFrame, "first" | "payload">>

/** The frames of one message, with control frames between them. */
export const split = (random: Random, payload: Uint8Array, isText: boolean, rsv: number): Frames => {
  const count = random.oneIn(3) ? 1 + random.below(random.oneIn(8) ? 14 : 6) : 1
  const frames: Array<Pick<RawFrame, "first" | "payload">> = []
  let at = 0
  for (let i = 0; i < count; i++) {
    const last = i === count - 1
    const to = last ? payload.length : at + random.below(payload.length - at + 1)
    const opcode = i > 0 ? Frame.Opcode.Continuation : isText ? Frame.Opcode.Text : Frame.Opcode.Binary
    frames.push({ first: (last ? 0x80 : 0) | (i === 0 ? rsv << 4 : 0) | opcode, payload: payload.subarray(at, to) })
    at = to
    if (!last && random.oneIn(3)) frames.push(control(random))
  }
  return frames
}

/** What a message says: text or bytes. */
export const content = (random: Random): { readonly isText: boolean; readonly payload: Uint8Array } => {
  const isText = random.oneIn(2)
  return { isText, payload: isText ? text(random) : random.bytes(size(random)) }
}

/** A message as whoever makes the stream wants it. */
type Message = (random: Random) => Frames

const plain: Message = (random) => {
  const { isText, payload } = content(random)
  return split(random, payload, isText, random.oneIn(12) ? 4 : 0)
}

const conversation = (random: Random, role: Frame.Role, message: Message): Array<RawFrame> => {
  const frames: Array<Pick<RawFrame, "first" | "payload">> = []
  for (let i = random.below(5); i >= 0; i--) {
    frames.push(...(random.oneIn(4) ? [control(random)] : message(random)))
  }
  if (random.oneIn(3)) frames.push({ first: 0x88, payload: closePayload(random) })
  const masked = role === "server"
  return frames.map((frame) => ({ ...frame, masked, key: random.oneIn(10) ? 0 : random.uint32() }))
}

const lengths = [0n, 1n, 125n, 126n, 127n, 299n, 300n, 301n, 1000n, 1001n, 65535n, 65536n, 0x100000n, 0x100001n]
const hugeLengths = [31n, 32n, 52n, 53n, 62n, 63n]
  .flatMap((bits) => [(1n << bits) - 1n, 1n << bits])
  .concat((1n << 64n) - 1n)

const splice = (bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array =>
  Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + removed)])

type Change = (random: Random, frame: RawFrame) => RawFrame

/** What may be wrong with a frame. */
const frameChanges: ReadonlyArray<Change> = [
  (random, frame) => ({ ...frame, first: frame.first ^ random.pick([0x10, 0x20, 0x40, 0x70]) }),
  (_, frame) => ({ ...frame, first: frame.first ^ 0x80 }),
  (random, frame) => ({ ...frame, first: (frame.first & 0xf0) | random.below(16) }),
  (_, frame) => ({ ...frame, masked: !frame.masked }),
  (random, frame) => ({ ...frame, form: random.pick([2, 8]) }),
  (random, frame) => ({ ...frame, claimed: random.pick(lengths), form: random.pick([undefined, 1, 2, 8]) }),
  (random, frame) => ({ ...frame, claimed: random.pick(hugeLengths), form: 8 }),
  (random, frame) => {
    const at = random.below(frame.payload.length + 1)
    return { ...frame, payload: splice(frame.payload, at, random.below(2), Buffer.from(random.pick(notUtf8), "hex")) }
  }
]

/** What may be wrong with the order of frames. */
const changeOrder = (random: Random, frames: Array<RawFrame>): void => {
  const at = random.below(frames.length)
  const other = random.below(frames.length)
  switch (random.below(3)) {
    case 0:
      frames.splice(at, 1)
      return
    case 1:
      frames.splice(other, 0, ...Array.from({ length: random.oneIn(4) ? 20 : 1 }, () => frames[at]!))
      return
    default: {
      const moved = frames[at]!
      frames[at] = frames[other]!
      frames[other] = moved
    }
  }
}

/** Damage that knows nothing of frames. */
export const damage = (random: Random, bytes: Uint8Array): Uint8Array => {
  const at = random.below(bytes.length + 1)
  const length = Math.min(bytes.length - at, random.below(12))
  switch (random.below(6)) {
    case 0: {
      const flipped = Uint8Array.from(bytes)
      if (at < bytes.length) flipped[at]! ^= 1 << random.below(8)
      return flipped
    }
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return splice(bytes, at, length, new Uint8Array(0))
    case 3:
      return splice(bytes, at, 0, random.bytes(1 + random.below(8)))
    case 4:
      return splice(bytes, at, 0, bytes.subarray(at, at + length))
    default:
      return splice(bytes, at, 1, Uint8Array.of(random.pick([0x00, 0x7f, 0x7e, 0x80, 0x81, 0xfe, 0xff])))
  }
}

/** The same without fault. */
export const faultless = (random: Random, role: Frame.Role, message: Message): Uint8Array =>
  Buffer.concat(conversation(random, role, message).map(serialize))

/** What an end of this role reads: one stream in three is without fault, one in twenty is noise. */
export const stream = (random: Random, role: Frame.Role, message: Message = plain): Uint8Array => {
  if (random.oneIn(20)) return random.bytes(random.below(80))
  const frames = conversation(random, role, message)
  if (random.oneIn(3)) return Buffer.concat(frames.map(serialize))
  let bytesChanges = 0
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(frames.length)
    if (frames.length === 0 || random.oneIn(3)) bytesChanges++
    else if (random.oneIn(4)) changeOrder(random, frames)
    else frames[at] = random.pick(frameChanges)(random, frames[at]!)
  }
  let bytes: Uint8Array = Buffer.concat(frames.map(serialize))
  while (bytesChanges-- > 0) bytes = damage(random, bytes)
  return bytes
}

/** The bytes in chunks, in memory of their own: all at once, byte by byte, or cut anywhere. */
export const chunks = (random: Random, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const style = random.below(8)
  if (style === 0) return [bytes.slice()]
  const longest = style === 1 && bytes.length < 400 ? 1 : style < 5 ? 16 : Math.max(1, bytes.length)
  const pieces: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; ) {
    // An empty chunk now and then, which no transport should give and nothing should mind.
    const to = random.oneIn(50) ? at : at + 1 + random.below(Math.max(longest, bytes.length >>> 8))
    pieces.push(Uint8Array.prototype.slice.call(bytes, at, to))
    at = to
  }
  return pieces
}
