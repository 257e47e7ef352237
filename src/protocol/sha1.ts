import { crypto } from "./native.js"

/**
 * SHA-1 of a short ASCII text, in base64: the one use that RFC 6455 §4.2.2 makes of it.
 *
 * @see RFC 3174
 */

const rotateLeft = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits))

/** The text, a 1 bit, zeros and the length in bits, as words of 32 bits in blocks of sixteen. RFC 3174 §4. */
const pad = (text: string): Int32Array => {
  const words = new Int32Array((((text.length + 8) >>> 6) + 1) * 16)
  for (let i = 0; i < text.length; i++) words[i >>> 2]! |= text.charCodeAt(i) << (24 - (i & 3) * 8)
  words[text.length >>> 2]! |= 0x80 << (24 - (text.length & 3) * 8)
  words[words.length - 1] = text.length * 8
  return words
}

/** The round's function and constant. RFC 3174 §5. */
const mix = (round: number, b: number, c: number, d: number): number => {
  if (round < 20) return ((b & c) | (~b & d)) + 0x5a827999
  if (round < 40) return (b ^ c ^ d) + 0x6ed9eba1
  if (round < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
  return (b ^ c ^ d) + 0xca62c1d6
}

const compress = (hash: Int32Array, block: Int32Array): void => {
  const schedule = new Int32Array(80)
  schedule.set(block)
  for (let i = 16; i < 80; i++) {
    schedule[i] = rotateLeft(schedule[i - 3]! ^ schedule[i - 8]! ^ schedule[i - 14]! ^ schedule[i - 16]!, 1)
  }
  let [a, b, c, d, e] = hash as unknown as [number, number, number, number, number]
  for (let i = 0; i < 80; i++) {
    const next = (rotateLeft(a, 5) + mix(i, b, c, d) + e + schedule[i]!) | 0
    e = d
    d = c
    c = rotateLeft(b, 30)
    b = a
    a = next
  }
  const round = [a, b, c, d, e]
  for (let i = 0; i < 5; i++) hash[i] = hash[i]! + round[i]!
}

const sha1Portable = (text: string): string => {
  const words = pad(text)
  const hash = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  for (let at = 0; at < words.length; at += 16) compress(hash, words.subarray(at, at + 16))
  let bytes = ""
  for (const word of hash) {
    bytes += String.fromCharCode(word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff)
  }
  return btoa(bytes)
}

/** The digest in base64. */
export const sha1: (text: string) => string =
  crypto === undefined
    ? sha1Portable
    : typeof crypto.hash === "function"
      ? (text) => crypto!.hash!("sha1", text, "base64")
      : (text) => crypto!.createHash("sha1").update(text).digest("base64")

/** For the test that compares it with the runtime's. */
export { sha1Portable }
