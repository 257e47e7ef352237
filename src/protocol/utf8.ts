import { buffers, type NodeBuffers } from "./native.js"
import { vectors } from "./vectors.js"

/**
 * Strict UTF-8: whole texts, and texts that arrive in pieces.
 *
 * @see RFC 6455 §8.1, RFC 3629
 */

/** Where a validator stands between two bytes: between characters, or what the next byte must be. */
export type State = number

/** Between two characters. The other states are named by the continuation bytes they wait for. */
export const Complete: State = 0
/** No continuation of these bytes is UTF-8. */
export const Invalid: State = -1
const One = 1
const Two = 2
const Three = 3
/** After E0: A0–BF, or the form would be overlong. */
const AfterE0 = 4
/** After ED: 80–9F, or it would be a surrogate. */
const AfterED = 5
/** After F0: 90–BF, or the form would be overlong. */
const AfterF0 = 6
/** After F4: 80–8F, or it would be above U+10FFFF. */
const AfterF4 = 7

/** The first byte of a character: RFC 3629 §4. */
const lead = (byte: number): State => {
  if (byte < 0x80) return Complete
  if (byte < 0xc2) return Invalid
  if (byte < 0xe0) return One
  if (byte < 0xf0) return byte === 0xe0 ? AfterE0 : byte === 0xed ? AfterED : Two
  if (byte > 0xf4) return Invalid
  return byte === 0xf0 ? AfterF0 : byte === 0xf4 ? AfterF4 : Three
}

const step = (state: State, byte: number): State => {
  if (state === Complete) return lead(byte)
  if (byte < 0x80 || byte > 0xbf) return Invalid
  switch (state) {
    case One:
      return Complete
    case Two:
      return One
    case Three:
      return Two
    case AfterE0:
      return byte >= 0xa0 ? One : Invalid
    case AfterED:
      return byte <= 0x9f ? One : Invalid
    case AfterF0:
      return byte >= 0x90 ? Two : Invalid
    default:
      return byte <= 0x8f ? Two : Invalid
  }
}

const walk = (state: State, bytes: Uint8Array, start: number, end: number): State => {
  let current = state
  for (let i = start; i < end && current !== Invalid; i++) current = step(current, bytes[i]!)
  return current
}

/** Where the last character of bytes[start, end) begins if it may be cut; at most three bytes before the end. */
const lastLead = (bytes: Uint8Array, start: number, end: number): number => {
  const floor = Math.max(start, end - 3)
  for (let i = end - 1; i >= floor; i--) {
    if (bytes[i]! >= 0xc0) return i
  }
  return end
}

/** Below this the walk costs less than the calls into the runtime. */
const NATIVE_FROM = 64

/**
 * Takes a validator over bytes[start, end) and returns where it then stands,
 * `Invalid` as soon as any byte among them cannot belong to UTF-8.
 */
export const advance = (state: State, bytes: Uint8Array, start: number, end: number): State => {
  let current = state
  let at = start
  while (current !== Complete && current !== Invalid && at < end) current = step(current, bytes[at++]!)
  if (current === Invalid || at === end) return current
  if (buffers === undefined || end - at < NATIVE_FROM) return walk(current, bytes, at, end)
  const tail = lastLead(bytes, at, end)
  return buffers.isUtf8(bytes.subarray(at, tail)) ? walk(Complete, bytes, tail, end) : Invalid
}

/** How many bytes at the end of bytes[start, end) belong to a character that is not complete; the bytes are valid so far. */
export const incompleteTail = (bytes: Uint8Array, start: number, end: number): number => {
  const at = lastLead(bytes, start, end)
  return at < end && walk(Complete, bytes, at, end) !== Complete ? end - at : 0
}

/** From here on a loop in JavaScript costs more than vectors, in the memory that they reach. */
const VECTORS_FROM = 16

/** Up to here: they read to the end, and the runtime, which does not, has made good for its call. */
const VECTORS_TO = 4096

/** Up to 127 bytes a loop in JavaScript is cheaper than a view and a call of the runtime. */
const RUNTIME_FROM = 128

const isAsciiShort = (bytes: Uint8Array, start: number, end: number): boolean => {
  let seen = 0
  for (let i = start; i < end; i++) seen |= bytes[i]!
  return seen < 0x80
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodePortable = (bytes: Uint8Array, start: number, end: number): string | undefined => {
  try {
    return decoder.decode(bytes.subarray(start, end))
  } catch {
    return undefined
  }
}

/** Validates and converts in one vectorised pass: 3.5 times as fast as TextDecoder or utf8Slice on 20 kB (Node 20). */
const transcode = ({ Buffer, transcode }: NodeBuffers, view: Uint8Array): string | undefined => {
  try {
    const units = transcode(view, "utf8", "ucs2")
    return Buffer.prototype.ucs2Slice.call(units, 0, units.length)
  } catch {
    return undefined
  }
}

/** Decodes bytes[start, end), or says undefined where they are not UTF-8. */
export const decode: (bytes: Uint8Array, start: number, end: number) => string | undefined =
  buffers === undefined
    ? decodePortable
    : (() => {
        const native = buffers
        const { isAscii, isUtf8, Buffer } = native
        const { latin1Slice, utf8Slice } = Buffer.prototype
        return (bytes, start, end) => {
          const size = end - start
          // ASCII decodes fastest as latin1.
          if (vectors !== undefined && size >= VECTORS_FROM && size <= VECTORS_TO && vectors.reaches(bytes)) {
            const at = bytes.byteOffset + start
            if (vectors.high(at, at + size - 16) === 0) return latin1Slice.call(bytes, start, end)
          } else if (size < RUNTIME_FROM) {
            if (isAsciiShort(bytes, start, end)) return latin1Slice.call(bytes, start, end)
          } else if (isAscii(bytes.subarray(start, end))) {
            return latin1Slice.call(bytes, start, end)
          }
          const view = bytes.subarray(start, end)
          if (size > 512) return transcode(native, view)
          return isUtf8(view) ? utf8Slice.call(bytes, start, end) : undefined
        }
      })()

const encoder = new TextEncoder()

/** Writes a text at an offset and returns its length in bytes; the target has three bytes for each UTF-16 unit. */
export const write: (target: Uint8Array, text: string, offset: number) => number =
  buffers === undefined
    ? (target, text, offset) => encoder.encodeInto(text, target.subarray(offset)).written
    : (() => {
        const { utf8Write } = buffers.Buffer.prototype
        return (target, text, offset) => {
          const length = text.length
          // A call into the runtime costs as much as about eight characters.
          if (length > 8) return utf8Write.call(target, text, offset, target.length - offset)
          for (let i = 0; i < length; i++) {
            const unit = text.charCodeAt(i)
            if (unit >= 0x80) return utf8Write.call(target, text, offset, target.length - offset)
            target[offset + i] = unit
          }
          return length
        }
      })()

/** The UTF-8 bytes of a text; an unpaired surrogate becomes U+FFFD. */
export const encode = (text: string): Uint8Array => encoder.encode(text)
