import { Buffer } from "node:buffer"
import type { Piece } from "../../src/protocol/assembly.js"
import type { Codec } from "../../src/protocol/Extension.js"
import { defaultLimits, FrameDecoder, type Limits, type Receiver } from "../../src/protocol/FrameDecoder.js"
import { type Mode, roleOf, usage } from "./mode.js"
import { Random } from "./random.js"
import { chunks, stream } from "./streams.js"

/** The decoder alone: it never throws, ends once, says the same however bytes are cut, and keeps no more than it may. */

const small: Limits = { maxMessageSize: 1000, maxFrameSize: 600, maxFragments: 8 }
const limitsOf = (random: Random): Limits =>
  random.pick([
    defaultLimits,
    small,
    small,
    { maxMessageSize: 300, maxFrameSize: 300, maxFragments: 3 },
    { maxMessageSize: 2 ** 28, maxFrameSize: 2 ** 28, maxFragments: 1000 }
  ])

const invert = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff)
const inverting: Codec = { rsv: 4, encode: invert, decode: invert }

const spell = (data: string | Uint8Array): string =>
  typeof data === "string" ? `text ${data}` : `binary ${Buffer.from(data).toString("hex")}`

/** What a decoder has said, with the parts of a message put together. */
class Record implements Receiver {
  readonly said: Array<readonly [kind: string, content: string | Uint8Array]> = []
  private parts: Array<string | Uint8Array> = []

  message(message: string | Uint8Array): void {
    this.said.push(["", message])
  }

  fragment({ data, final }: Piece): void {
    this.parts.push(data)
    if (!final) return
    const parts = this.parts.splice(0)
    this.said.push(["", typeof data === "string" ? parts.join("") : Buffer.concat(parts as Array<Uint8Array>)])
  }

  ping(payload: Uint8Array): void {
    this.said.push(["ping ", payload])
  }

  pong(payload: Uint8Array): void {
    this.said.push(["pong ", payload])
  }

  close({ code, reason }: { readonly code: number; readonly reason: string }): void {
    this.said.push([`close ${code} `, reason])
  }

  events(): ReadonlyArray<string> {
    return this.said.map(([kind, content]) => kind + spell(content))
  }
}

/** The bytes that an object holds, in itself and in the objects of its own, but not in what it was given. */
const kept = (holder: object, given: ReadonlySet<unknown>): number => {
  let sum = 0
  for (const value of Object.values(holder)) {
    if (typeof value !== "object" || value === null || given.has(value)) continue
    sum += value instanceof Uint8Array ? value.length : kept(value, given)
  }
  return sum
}

/** The bytes of a message that may be kept: what extensions have encoded may be a little larger than what comes of it. */
const mostOf = ({ maxMessageSize }: Limits, isEncoded: boolean): number =>
  isEncoded ? maxMessageSize + maxMessageSize / 16 + 1_024 : maxMessageSize

/** What a header may claim at once, before its payload is there. */
const TRUSTED = 1_048_576
/** The longest control frame and the longest header. */
const BESIDE = 125 + 14

interface Outcome {
  readonly events: ReadonlyArray<string>
  readonly problem: string | undefined
}

type Between = (decoder: FrameDecoder) => void

/** Feeds a decoder and watches it; the memory of a chunk is spoilt as soon as it has been read. */
const feed = (
  Decoder: typeof FrameDecoder,
  pieces: ReadonlyArray<Uint8Array>,
  options: { readonly seed: number; readonly limits: Limits; readonly codecs: ReadonlyArray<Codec> },
  between: Between = () => {}
): Outcome => {
  const { limits, codecs } = options
  const record = new Record()
  const given = { role: roleOf(options.seed), receiver: record, codecs }
  const decoder = new Decoder(given, limits)
  const others = new Set<unknown>([given, limits, record, codecs])
  let violation: string | undefined
  let fed = 0
  for (const piece of pieces) {
    const before = record.said.length
    const isOver = violation !== undefined || record.said.at(-1)?.[0].startsWith("close") === true
    const found = decoder.decode(piece)
    fed += piece.length
    piece.fill(0xee)
    if (isOver && (found !== undefined || record.said.length > before)) {
      return { events: [], problem: "something was read after the end" }
    }
    if (found !== undefined) violation = `violation ${found.code} ${found.reason}`
    const bytes = kept(decoder, others)
    if (bytes > 2 * mostOf(limits, codecs.length > 0) + BESIDE || bytes > 2 * fed + TRUSTED + BESIDE) {
      return { events: [], problem: "more is kept than the limits allow" }
    }
    between(decoder)
  }
  // A close frame ends the reading, so that a violation behind it is seen above.
  return { events: [...record.events(), ...(violation === undefined ? [] : [violation])], problem: undefined }
}

const same = (one: Outcome, other: Outcome): boolean =>
  one.events.length === other.events.length && one.events.every((event, i) => event === other.events[i])

/** A decoder's mode; another decoder can be put in its place, to see that its faults are found. */
export const decoderMode = (Decoder: typeof FrameDecoder = FrameDecoder): Mode => ({
  name: "decoder",
  generate: (random, seed) => stream(random, roleOf(seed)),
  check: (input, seed) => {
    const random = new Random(usage(seed))
    const options = { seed, limits: limitsOf(random), codecs: random.oneIn(4) ? [inverting] : [] }
    const whole = feed(Decoder, [input.slice()], options)
    if (whole.problem !== undefined) return whole.problem
    const cut = feed(Decoder, chunks(random, input), options)
    if (cut.problem !== undefined) return cut.problem
    if (!same(whole, cut)) return "what is read depends on how the bytes are cut"
    // Asked for in fragments at any time, the same messages come, in parts.
    const parts = feed(Decoder, chunks(random, input), options, (decoder) => {
      const turn = random.below(4)
      if (turn === 0) decoder.receiveFragments()
      if (turn === 1) decoder.receiveWhole()
    })
    if (parts.problem !== undefined) return parts.problem
    if (!same(whole, parts)) return "fragments are not what the whole messages are"
    // What an extension has encoded is not decoded to be thrown away, and so its faults do not show.
    return options.codecs.length > 0 ? undefined : checkDiscard(Decoder, input, options, random, whole)
  }
})

/** Once told to discard, no message comes any more, but the end is the same. */
const checkDiscard = (
  Decoder: typeof FrameDecoder,
  input: Uint8Array,
  options: Parameters<typeof feed>[2],
  random: Random,
  whole: Outcome
): string | undefined => {
  const from = random.below(3)
  let turn = 0
  const discarded = feed(Decoder, chunks(random, input), options, (decoder) => {
    if (turn++ === from) decoder.discard()
  })
  if (discarded.problem !== undefined) return discarded.problem
  const ends = (outcome: Outcome) => outcome.events.filter((event) => !/^(text|binary) /.test(event))
  return same({ events: ends(whole), problem: undefined }, { events: ends(discarded), problem: undefined })
    ? undefined
    : "discarding changes how the connection ends"
}

export const decoder: Mode = decoderMode()
