/**
 * Whether bytes are one value of MessagePack, whose lengths they can hold.
 *
 * Decoders make room for as many elements as an array says that it has: five
 * bytes are enough to ask for a quarter of a gigabyte. So a message is looked
 * through before one sees it. Extensions are refused, but for the two that say
 * nothing more than a value: what decoders do for others, such as to make code
 * of the records that a peer describes, is not for what comes from a network.
 */

/** Bytes behind the first one, for 0xc0 to 0xdf: of values whose length is fixed, else of the length itself. */
const fixed: ReadonlyArray<number> = [
  // nil, never used, false, true
  0, -1, 0, 0,
  // bin 8, 16, 32; ext 8, 16, 32
  1, 2, 4, 1, 2, 4,
  // float 32, 64; uint 8 to 64; int 8 to 64
  4, 8, 1, 2, 4, 8, 1, 2, 4, 8,
  // fixext 1, 2, 4, 8, 16
  2, 3, 5, 9, 17,
  // str 8, 16, 32; array 16, 32; map 16, 32
  1, 2, 4, 2, 4, 2, 4
]

const readLength = (bytes: Uint8Array, at: number, width: number): number => {
  let length = 0
  for (let i = 0; i < width; i++) length = length * 256 + bytes[at + i]!
  return length
}

/** Of timestamps, and of `undefined`, which MessagePack does not have and JavaScript's writers say so. */
const isAllowed = (extension: number | undefined): boolean => extension === 0xff || extension === 0

const isStringOrBinary = (byte: number): boolean => (byte >= 0xc4 && byte <= 0xc6) || (byte >= 0xd9 && byte <= 0xdb)
const isExtension = (byte: number): boolean => byte >= 0xc7 && byte <= 0xc9
const isFixedExtension = (byte: number): boolean => byte >= 0xd4 && byte <= 0xd8
const isArray = (byte: number): boolean => byte === 0xdc || byte === 0xdd
const isMap = (byte: number): boolean => byte === 0xde || byte === 0xdf

/** What is wrong with bytes as one value of MessagePack; undefined where nothing is. */
export const fault = (bytes: Uint8Array): string | undefined => {
  const end = bytes.length
  let at = 0
  /** Values that have to follow, each of a byte at least. */
  let missing = 1
  while (missing > 0) {
    if (missing > end - at) return "it ends inside a value"
    const byte = bytes[at++]!
    missing--
    if (byte < 0x80 || byte >= 0xe0) continue
    if (byte < 0x90) missing += 2 * (byte & 0x0f)
    else if (byte < 0xa0) missing += byte & 0x0f
    else if (byte < 0xc0) at += byte & 0x1f
    else {
      const width = fixed[byte - 0xc0]!
      if (width < 0) return "it has a byte that means nothing"
      if (isFixedExtension(byte) && !isAllowed(bytes[at])) return "it has an extension"
      const after = at + width
      if (after > end) return "it ends inside a value"
      if (isStringOrBinary(byte)) at = after + readLength(bytes, at, width)
      else if (isExtension(byte)) {
        if (!isAllowed(bytes[after])) return "it has an extension"
        at = after + 1 + readLength(bytes, at, width)
      } else {
        if (isArray(byte)) missing += readLength(bytes, at, width)
        else if (isMap(byte)) missing += 2 * readLength(bytes, at, width)
        at = after
      }
    }
  }
  if (at > end) return "it ends inside a value"
  return at < end ? "there is more behind the value" : undefined
}
