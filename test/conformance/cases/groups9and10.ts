import {
  binary,
  type Case,
  filled,
  fragments,
  hex,
  make,
  repeated,
  roundTrips,
  saw,
  send,
  text,
  utf8,
  type Writing
} from "../Case.js"

/** Large messages, many fragments, small writes, round trips (group 9), and fragments that a proxy would make (10). */

const KiB = 1_024
const MiB = 1_024 * KiB

interface Kind {
  readonly frame: typeof text
  readonly saw: typeof saw.text | typeof saw.binary
  readonly pattern: Uint8Array
}

const kinds: ReadonlyArray<Kind> = [
  { frame: text, saw: saw.text, pattern: utf8("BAsd7&jh23") },
  { frame: binary, saw: saw.binary, pattern: hex("00fe23faf0") }
]

/** Cases of one shape for text and, one number on, for binary. */
const both = (first: number, count: number, build: (kind: Kind, i: number, isBinary: boolean) => Partial<Case>) =>
  kinds.flatMap((kind, k) =>
    Array.from({ length: count }, (_, i) => {
      const { steps = [], ...rest } = build(kind, i, k === 1)
      return make(`9.${first + k}.${i + 1}`, steps, { ...rest, compare: "length" })
    })
  )

const sizes = [64 * KiB, 256 * KiB, MiB, 4 * MiB, 8 * MiB, 16 * MiB]

const large = both(1, sizes.length, (kind, i, isBinary) => {
  const payload = repeated(kind.pattern, sizes[i]!)
  return {
    steps: [send(kind.frame(payload))],
    expected: [kind.saw(payload)],
    patience: i < (isBinary ? 4 : 2) ? 10_000 : 100_000
  }
})

const fragmented = both(3, 9, (kind, i, isBinary) => {
  const size = 64 * 4 ** i
  const payload = filled(isBinary && i === 0 ? 0xfe : "*", 4 * MiB)
  // The last is one frame that is not fragmented at all.
  const frames = size === payload.length ? [kind.frame(payload)] : fragments(kind.frame(payload), size)
  return { steps: [send(...frames)], expected: [kind.saw(payload)], patience: 100_000 }
})

const chopped = both(5, 6, (kind, i) => {
  const payload = repeated(kind.pattern, MiB)
  const writing: Writing = { chops: 64 * 2 ** i }
  return { steps: [send(kind.frame(payload))], expected: [kind.saw(payload)], writing, patience: 1_000_000 }
})

const lengths = [0, 16, 64, 256, 1_024, 4_096]
const seconds = [60, 60, 60, 120, 240, 480]

const many = both(7, lengths.length, (kind, i) => {
  const payload = repeated(kind.pattern, lengths[i]!)
  return {
    steps: [roundTrips(() => kind.saw(payload), 1_000)],
    patience: seconds[i]! * 1_000
  }
})

export const group9: ReadonlyArray<Case> = [...large, ...fragmented, ...chopped, ...many]

const stars = filled("*", 65_536)

export const group10: ReadonlyArray<Case> = [
  make("10.1.1", [send(...fragments(text(stars), 1_300))], { expected: [saw.text(stars)], patience: 10_000 })
]
