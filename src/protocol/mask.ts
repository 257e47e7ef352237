import { littleEndian, type Vectors, vectors } from "./vectors.js"

/**
 * Masking: each byte of a client's payload is XORed with one byte of a 32-bit key in turn.
 *
 * A key is an unsigned 32-bit number whose highest byte goes over the wire first.
 *
 * @see RFC 6455 §5.3
 */

/** Below this many bytes the set-up of word-wise work costs more than it saves. */
const WORDS_FROM = 32

/** The key for a payload of which `offset` bytes went before. */
const rotate = (key: number, offset: number): number => {
  const bits = (offset & 3) << 3
  return bits === 0 ? key | 0 : (key << bits) | (key >>> (32 - bits))
}

const xorBytes = (bytes: Uint8Array, start: number, end: number, key: number): void => {
  let shift = 24
  for (let i = start; i < end; i++) {
    bytes[i] = bytes[i]! ^ (key >>> shift)
    shift = (shift - 8) & 31
  }
}

/** Views are dear (about 100 ns), and chunk after chunk comes in the same memory. */
let viewed: ArrayBufferLike | undefined
let words: Int32Array = new Int32Array(0)

const wordsOf = (buffer: ArrayBufferLike): Int32Array => {
  if (buffer !== viewed) {
    viewed = buffer
    words = new Int32Array(buffer, 0, buffer.byteLength >>> 2)
  }
  return words
}

const swap = (key: number): number =>
  ((key & 0xff) << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | ((key >>> 24) & 0xff)

/** XORs whole words of the memory between two multiples of four; eight at a time, which halves the loop's cost. */
const xorWords = (view: Int32Array, start: number, end: number, key: number): void => {
  let i = start >>> 2
  const last = end >>> 2
  for (; i + 8 <= last; i += 8) {
    view[i] = view[i]! ^ key
    view[i + 1] = view[i + 1]! ^ key
    view[i + 2] = view[i + 2]! ^ key
    view[i + 3] = view[i + 3]! ^ key
    view[i + 4] = view[i + 4]! ^ key
    view[i + 5] = view[i + 5]! ^ key
    view[i + 6] = view[i + 6]! ^ key
    view[i + 7] = view[i + 7]! ^ key
  }
  for (; i < last; i++) view[i] = view[i]! ^ key
}

/** A payload of at least this size that lies elsewhere is moved through the fast memory, tile by tile. */
const TILE_FROM = 4096

const xorTiles = ({ tile, xor }: Vectors, bytes: Uint8Array, start: number, end: number, key: number): void => {
  for (let at = start; at < end; at += tile.length) {
    const size = Math.min(tile.length, end - at)
    tile.set(bytes.subarray(at, at + size))
    xor(tile.byteOffset, tile.byteOffset + size, key)
    bytes.set(size === tile.length ? tile : tile.subarray(0, size), at)
  }
}

/**
 * Masks or unmasks bytes[start, end) in place.
 *
 * @param key 32 bits, the highest byte first.
 * @param offset how many bytes of the same payload went before.
 */
export const xor = (bytes: Uint8Array, start: number, end: number, key: number, offset: number): void => {
  const turned = rotate(key, offset)
  if (end - start < WORDS_FROM) {
    xorBytes(bytes, start, end, turned)
    return
  }
  const base = bytes.byteOffset
  const from = start + (-(base + start) & 3)
  xorBytes(bytes, start, from, turned)
  const aligned = rotate(turned, from - start)
  const word = littleEndian ? swap(aligned) : aligned
  let to = from + ((end - from) & ~3)
  if (vectors !== undefined && end - from >= 64) {
    const bulk = from + ((end - from) & ~15)
    if (vectors.reaches(bytes)) {
      vectors.xor(base + from, base + bulk, word)
      to = bulk
    } else if (end - from >= TILE_FROM) {
      xorTiles(vectors, bytes, from, bulk, word)
      to = bulk
    } else {
      xorWords(wordsOf(bytes.buffer), base + from, base + to, word)
    }
  } else {
    xorWords(wordsOf(bytes.buffer), base + from, base + to, word)
  }
  xorBytes(bytes, to, end, rotate(aligned, to - from))
}
