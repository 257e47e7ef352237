import { Buffer } from "node:buffer"
import { constants, deflateRawSync } from "node:zlib"
import type { Options } from "../../src/protocol/PerMessageDeflate.js"
import { roleOf } from "./mode.js"
import type { Random } from "./random.js"
import { content, damage, faultless, split, stream } from "./streams.js"

/** What a peer may say on a connection that has agreed on permessage-deflate: data of zlib's, and what is left of them after damage. */

/** What was agreed on, the same for whoever makes a case and whoever reads it. */
export interface Agreed {
  readonly keepsContext: boolean
  readonly windowBits: number
}

export const agreedOf = (seed: number): Agreed => ({
  keepsContext: (seed & 2) === 0,
  windowBits: [15, 15, 9, 8, 10, 12, 15, 14][(seed >>> 2) & 7]!
})

/** Whether nothing is damaged in what a case's seed makes: then nothing may be found wrong with its data. */
export const isWhole = (seed: number): boolean => ((seed >>> 5) & 3) === 0

/** The same as options of both ends. */
export const optionsOf = (seed: number): Options => {
  const { keepsContext, windowBits } = agreedOf(seed)
  return {
    threshold: 0,
    serverNoContextTakeover: !keepsContext,
    clientNoContextTakeover: !keepsContext,
    serverMaxWindowBits: windowBits,
    clientMaxWindowBits: windowBits
  }
}

/** A message that takes an extension its time, or that is far more than its data. */
const large = (random: Random): Uint8Array => {
  if (random.oneIn(2)) return new Uint8Array(random.pick([100_000, 1_048_576, 1_048_577, 3_000_000]))
  const seed = random.bytes(1024)
  // Hardly to be compressed, and made at once.
  return Uint8Array.from({ length: 33_000 + random.below(60_000) }, (_, i) => seed[i & 1023]! ^ ((i * i) >>> 9))
}

const body = (random: Random) => (random.oneIn(40) ? { isText: false, payload: large(random) } : content(random))

const { Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_FINISH } = constants
const tailOf = (data: Uint8Array): Uint8Array => data.subarray(0, data.length - 4)

/** One direction's compressor, which knows what it has said before. */
class Speaker {
  private readonly agreed: Agreed
  /** How often data may end by themselves: just below what we take, or around it. */
  private readonly most: number
  private before: Uint8Array = new Uint8Array(0)

  constructor(seed: number) {
    this.agreed = agreedOf(seed)
    this.most = isWhole(seed) ? 254 : 258
  }

  private deflate(random: Random, payload: Uint8Array, finishFlush: number): Uint8Array {
    return deflateRawSync(payload, {
      // zlib's 8 is a 9 here, whose distances are those of an 8.
      windowBits: Math.max(9, this.agreed.windowBits),
      level: random.pick([0, 1, 6, 9]),
      memLevel: random.pick([1, 8, 9]),
      strategy: random.pick([0, 0, constants.Z_HUFFMAN_ONLY, constants.Z_FIXED]),
      finishFlush,
      ...(this.before.length > 0 ? { dictionary: this.before } : {})
    })
  }

  private remember(payload: Uint8Array): void {
    if (this.agreed.keepsContext)
      this.before = Buffer.concat([this.before, payload]).subarray(-(2 ** this.agreed.windowBits))
  }

  /** A message's data, in any of the forms that RFC 7692 §7.2.3 has; ending by themselves only where told so. */
  data(random: Random, payload: Uint8Array, ends: boolean): Uint8Array {
    const cut = random.below(payload.length + 1)
    const form = random.below(10)
    switch (form === 0 || ends ? form : 3) {
      case 0: {
        // Blocks with a flush between.
        const first = this.deflate(random, payload.subarray(0, cut), Z_FULL_FLUSH)
        this.before = new Uint8Array(0)
        const rest = this.deflate(random, payload.subarray(cut), Z_SYNC_FLUSH)
        this.remember(payload.subarray(cut))
        return Buffer.concat([first, tailOf(rest)])
      }
      case 1: {
        // §7.2.3.4: the data end by themselves, and an empty block follows, or none.
        const whole = this.deflate(random, payload, Z_FINISH)
        this.before = new Uint8Array(0)
        return random.oneIn(3) ? whole : Buffer.concat([whole, Uint8Array.of(0)])
      }
      case 2: {
        // More than one such end.
        const ends = Array.from({ length: random.oneIn(8) ? this.most - random.below(5) : random.below(6) }, () => [
          3, 0
        ])
        const whole = this.deflate(random, payload.subarray(0, cut), Z_FINISH)
        this.before = new Uint8Array(0)
        const rest = tailOf(this.deflate(random, payload.subarray(cut), Z_SYNC_FLUSH))
        this.remember(payload.subarray(cut))
        return Buffer.concat([whole, Uint8Array.from(ends.flat()), rest])
      }
      default: {
        const whole = this.deflate(random, payload, Z_SYNC_FLUSH)
        this.remember(payload)
        return tailOf(whole)
      }
    }
  }
}

/** Damage to the data, which their frames do not show. */
const spoil = (random: Random, data: Uint8Array): Uint8Array => {
  if (!random.oneIn(5)) return data
  switch (random.below(4)) {
    case 0:
      return random.bytes(random.below(60))
    case 1:
      return data.subarray(0, random.below(data.length + 1))
    case 2:
      return Buffer.concat([data, random.bytes(1 + random.below(5))])
    default:
      return damage(random, data)
  }
}

/** Most messages compressed, some of them damaged where the seed has it so. */
const messages = (seed: number, ends: boolean) => {
  const speaker = new Speaker(seed)
  return (random: Random) => {
    const { isText, payload } = body(random)
    if (random.oneIn(8)) return split(random, payload, isText, 0)
    const data = speaker.data(random, payload, ends)
    return split(random, isWhole(seed) ? data : spoil(random, data), isText, 4)
  }
}

/** What an end reads. */
export const compressedStream = (random: Random, seed: number): Uint8Array =>
  (isWhole(seed) ? faultless : stream)(random, roleOf(seed), messages(seed, true))

/** The same in frames without fault, and data that go on from one message to the next. */
export const compressedFrames = (random: Random, seed: number): Uint8Array =>
  faultless(random, roleOf(seed), messages(seed, false))
