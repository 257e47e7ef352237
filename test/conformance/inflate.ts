/**
 * DEFLATE read with a window of exactly so many octets: zlib looks beyond its
 * window only where its output is cut, so a peer that reaches further back
 * than was agreed would go unnoticed. RFC 1951; RFC 7692 §7.1.2.
 */

/** Why data is not what was agreed on. */
export class InflateError extends Error {}

/** What `lengths` and `distances` begin at, and how many bits more they take. RFC 1951 §3.2.5. */
interface Ranges {
  readonly base: ReadonlyArray<number>
  readonly extra: ReadonlyArray<number>
}

/** Bits come in groups of codes: so many without any, then so many with each count. */
const ranges = (first: number, plain: number, perCount: number, count: number): Ranges => {
  const base: Array<number> = []
  const extra: Array<number> = []
  let next = first
  for (let code = 0; code < count; code++) {
    const bits = code < plain ? 0 : Math.floor((code - plain) / perCount) + 1
    base.push(next)
    extra.push(bits)
    next += 1 << bits
  }
  return { base, extra }
}

const lengths: Ranges = (() => {
  const { base, extra } = ranges(3, 8, 4, 28)
  // The longest match has a code of its own.
  return { base: [...base, 258], extra: [...extra, 0] }
})()
const distances = ranges(1, 4, 2, 30)

/** The order in which the lengths of the code that says code lengths come. RFC 1951 §3.2.7. */
const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** For every value of the next `bits` bits, the symbol that they begin with, times 16, plus its length. */
interface Codes {
  readonly bits: number
  readonly table: Uint16Array
}

const reversed = (code: number, length: number): number => {
  let turned = 0
  for (let i = 0; i < length; i++) turned |= ((code >> i) & 1) << (length - 1 - i)
  return turned
}

/** The canonical code in which symbols have these lengths. RFC 1951 §3.2.2. */
const codesOf = (sizes: ArrayLike<number>): Codes => {
  const counts = new Array<number>(16).fill(0)
  for (let i = 0; i < sizes.length; i++) counts[sizes[i]!]!++
  counts[0] = 0
  const next = [0]
  for (let length = 1; length <= 15; length++) next.push((next[length - 1]! + counts[length - 1]!) << 1)
  const bits = Math.max(
    1,
    counts.findLastIndex((count) => count > 0)
  )
  const table = new Uint16Array(1 << bits)
  for (let symbol = 0; symbol < sizes.length; symbol++) {
    const length = sizes[symbol]!
    if (length === 0) continue
    const code = next[length]!++
    if (code >= 1 << length) throw new InflateError("more codes than there is room for")
    for (let at = reversed(code, length); at < table.length; at += 1 << length) table[at] = (symbol << 4) | length
  }
  return { bits, table }
}

const fixedLengths = codesOf(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)))
const fixedDistances = codesOf(Array.from({ length: 30 }, () => 5))

/** Bits of octets, the lowest first. */
class Bits {
  private readonly bytes: Uint8Array
  private at = 0
  private held = 0
  private count = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Fewer bits than a block's head are left, and none of them is set: the padding of the last octet. */
  get isAtEnd(): boolean {
    return this.at >= this.bytes.length && this.count < 3
  }

  take(count: number): number {
    this.fill(count)
    if (this.count < count) throw new InflateError("deflate data that ends too early")
    const value = this.held & ((1 << count) - 1)
    this.drop(count)
    return value
  }

  symbol({ bits, table }: Codes): number {
    this.fill(bits)
    const entry = table[this.held & ((1 << bits) - 1)]!
    const length = entry & 15
    if (length === 0) throw new InflateError("a code that stands for nothing")
    if (length > this.count) throw new InflateError("deflate data that ends too early")
    this.drop(length)
    return entry >> 4
  }

  /** Goes on at the next octet. */
  align(): void {
    this.drop(this.count & 7)
  }

  private fill(count: number): void {
    // At most 7 + 15 bits are ever held, so they fit in 31.
    while (this.count < count && this.at < this.bytes.length) {
      this.held |= this.bytes[this.at++]! << this.count
      this.count += 8
    }
  }

  private drop(count: number): void {
    this.held >>>= count
    this.count -= count
  }
}

/** What was put out, with what came before it in front. */
class Output {
  private bytes: Uint8Array
  private length: number
  private readonly start: number
  private readonly window: number

  constructor(history: Uint8Array, window: number) {
    this.start = history.length
    this.length = history.length
    this.window = window
    this.bytes = new Uint8Array(history.length + 4_096)
    this.bytes.set(history)
  }

  push(octet: number): void {
    if (this.length === this.bytes.length) this.grow(1)
    this.bytes[this.length++] = octet
  }

  copy(distance: number, length: number): void {
    if (distance > this.window) throw new InflateError(`a distance of ${distance}, beyond the window of ${this.window}`)
    if (distance > this.length) throw new InflateError(`a distance of ${distance}, before the beginning`)
    if (this.length + length > this.bytes.length) this.grow(length)
    // Octet by octet: what is copied may be what was just written.
    for (let end = this.length + length; this.length < end; this.length++) {
      this.bytes[this.length] = this.bytes[this.length - distance]!
    }
  }

  result(): Uint8Array {
    return this.bytes.subarray(this.start, this.length)
  }

  private grow(more: number): void {
    const bytes = new Uint8Array(2 * this.bytes.length + more)
    bytes.set(this.bytes)
    this.bytes = bytes
  }
}

const stored = (bits: Bits, output: Output): void => {
  bits.align()
  const length = bits.take(16)
  if ((bits.take(16) ^ length) !== 0xffff) throw new InflateError("a stored block of two lengths")
  for (let i = 0; i < length; i++) output.push(bits.take(8))
}

const coded = (bits: Bits, output: Output, literals: Codes, reaches: Codes): void => {
  for (let symbol = bits.symbol(literals); symbol !== 256; symbol = bits.symbol(literals)) {
    if (symbol < 256) {
      output.push(symbol)
      continue
    }
    const size = symbol - 257
    if (size >= lengths.base.length) throw new InflateError("a length that does not exist")
    const length = lengths.base[size]! + bits.take(lengths.extra[size]!)
    const reach = bits.symbol(reaches)
    if (reach >= distances.base.length) throw new InflateError("a distance that does not exist")
    output.copy(distances.base[reach]! + bits.take(distances.extra[reach]!), length)
  }
}

/** A block's own two codes. RFC 1951 §3.2.7. */
const readCodes = (bits: Bits): readonly [literals: Codes, reaches: Codes] => {
  const literals = bits.take(5) + 257
  const reaches = bits.take(5) + 1
  const meta = new Uint8Array(19)
  const count = bits.take(4) + 4
  for (let i = 0; i < count; i++) meta[order[i]!] = bits.take(3)
  const codes = codesOf(meta)
  const sizes = new Uint8Array(literals + reaches)
  for (let at = 0; at < sizes.length; ) {
    const symbol = bits.symbol(codes)
    if (symbol < 16) {
      sizes[at++] = symbol
      continue
    }
    if (symbol === 16 && at === 0) throw new InflateError("a repetition of nothing")
    const value = symbol === 16 ? sizes[at - 1]! : 0
    const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7)
    if (at + times > sizes.length) throw new InflateError("more code lengths than there are codes")
    sizes.fill(value, at, at + times)
    at += times
  }
  return [codesOf(sizes.subarray(0, literals)), codesOf(sizes.subarray(literals))]
}

/**
 * Inflates whole octets of blocks, final or not.
 *
 * @param history what came before them, at most the window.
 * @param window how many octets back they may reach.
 */
export const inflate = (bytes: Uint8Array, history: Uint8Array, window: number): Uint8Array => {
  const bits = new Bits(bytes)
  const output = new Output(history, window)
  while (!bits.isAtEnd) {
    const isFinal = bits.take(1) === 1
    const type = bits.take(2)
    if (type === 3) throw new InflateError("a block of no type")
    if (type === 0) stored(bits, output)
    else if (type === 1) coded(bits, output, fixedLengths, fixedDistances)
    else coded(bits, output, ...readCodes(bits))
    // RFC 7692 §7.2.3.4: what follows a final block begins at an octet.
    if (isFinal) bits.align()
  }
  return output.result()
}
