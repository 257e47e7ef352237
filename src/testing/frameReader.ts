import { joinedBytes } from "../joinedBytes.js"
import { readUint32, sizeOf } from "../protocol/frameHeader.js"
import * as mask from "../protocol/mask.js"
import type { Frame } from "./Frame.js"

/** A frame as it stood among the bytes. */
export interface ReadFrame {
  readonly frame: Frame
  /** Undefined where it is not masked. */
  readonly maskingKey: number | undefined
  /** Bytes, the header included. */
  readonly size: number
}

/** The bytes that the first frame takes, as far as can be told; it is all there when they are. RFC 6455 §5.2. */
const neededFor = (bytes: Uint8Array): number => {
  const head = sizeOf(bytes, 0, bytes.length, (bytes[1] ?? 0) >= 0x80)
  if (bytes.length < head) return head
  const short = bytes[1]! & 0x7f
  if (short < 126) return head + short
  if (short === 126) return head + ((bytes[2]! << 8) | bytes[3]!)
  return head + readUint32(bytes, 2) * 0x100000000 + readUint32(bytes, 6)
}

const frameIn = (bytes: Uint8Array, size: number): ReadFrame => {
  const first = bytes[0]!
  const isMasked = bytes[1]! >= 0x80
  const head = sizeOf(bytes, 0, size, isMasked)
  const maskingKey = isMasked ? readUint32(bytes, head - 4) : undefined
  const payload = Uint8Array.from(bytes.subarray(head, size))
  if (maskingKey !== undefined) mask.xor(payload, 0, payload.length, maskingKey, 0)
  return { frame: { fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 15, payload }, maskingKey, size }
}

/** Reads whatever frames stand among bytes, the forbidden ones too: what breaks the protocol is to be seen and not to be judged. */
export class FrameReader {
  private chunks: Array<Uint8Array> = []
  private size = 0
  /** There is no frame in fewer bytes. */
  private needed = 2

  push(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.size += chunk.length
  }

  /** The next whole frame, if it is there. */
  next(): ReadFrame | undefined {
    // A frame in many pieces is not looked at again with each of them.
    if (this.size < this.needed) return undefined
    const bytes = this.rest
    const size = neededFor(bytes)
    if (size > bytes.length) {
      this.needed = size
      return undefined
    }
    this.keep(bytes.subarray(size))
    return frameIn(bytes, size)
  }

  /** Takes all bytes that are there. */
  forget(): void {
    this.keep(new Uint8Array(0))
  }

  /** The bytes that are there and in no whole frame. */
  get rest(): Uint8Array {
    const bytes = this.chunks.length === 1 ? this.chunks[0]! : joinedBytes(this.chunks)
    this.chunks = [bytes]
    return bytes
  }

  private keep(bytes: Uint8Array): void {
    this.chunks = bytes.length === 0 ? [] : [bytes]
    this.size = bytes.length
    this.needed = 2
  }
}
