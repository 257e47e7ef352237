import { binary, continuation, filled, open, ping, text } from "../Case.js"
import type { FrameSpec } from "../wire.js"
import type { Bench } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { fails } from "./expect.js"
import type { Task } from "./Testee.js"

/** Lengths that must not be said so, and more than a testee wants to have. RFC 6455 §5.2, §10.4. */

/** After a message that is right, frames that fail the connection; what follows them is not received. */
const refusing = async (bench: Bench, code: number, frames: ReadonlyArray<FrameSpec>, task: Task = {}) => {
  const { peer } = await bench.open(task)
  await peer.echoes("right")
  peer.send(...frames)
  await fails(peer, code)
}

const behind = text("behind it")

const lengths = (
  id: string,
  title: string,
  situations: ReadonlyArray<readonly [name: string, frame: FrameSpec]>
): BlindSpot => ({
  id,
  title: `${title} fails the connection with 1002`,
  role: "both",
  run: (bench) => each(situations, (frame) => refusing(bench, 1002, [frame, behind]))
})

const sized = (form: 16 | 64, ...sizes: ReadonlyArray<number>) => [
  ...sizes.map((size) => [`a message of ${size}`, binary(filled(1, size), { lengthForm: form })] as const),
  ["a ping of 4", ping("ping", { lengthForm: form })] as const
]

const announcing = (announced: bigint) => ({ announced, lengthForm: 64 }) as const

const forms: ReadonlyArray<BlindSpot> = [
  lengths("B4.1", "a length up to 125 in 16 bits", sized(16, 0, 1, 124, 125)),
  lengths("B4.2", "a length up to 65,535 in 64 bits", sized(64, 0, 125, 126, 65_535)),
  lengths("B4.3", "a length of 64 bits with the first bit set", [
    ["2^63", binary("", announcing(2n ** 63n))],
    ["2^63 + 5", text("right", announcing(2n ** 63n + 5n))],
    ["2^64 - 1", binary("", announcing(2n ** 64n - 1n))]
  ])
]

const LIMIT = 100_000
const limited: Task = { maxMessageSize: LIMIT }
const half = filled("x", LIMIT / 2)

const announcements: ReadonlyArray<readonly [name: string, frames: ReadonlyArray<FrameSpec>]> = [
  ["one octet more", [binary("", { announced: BigInt(LIMIT + 1) })]],
  ["2^31", [binary("", announcing(2n ** 31n))]],
  ["2^32 + 1", [binary("", announcing(2n ** 32n + 1n))]],
  ["2^53 + 1", [binary("", announcing(2n ** 53n + 1n))]],
  ["2^63 - 1", [binary("", announcing(2n ** 63n - 1n))]],
  ["in a second fragment", [text(half, open), continuation("", { announced: BigInt(LIMIT / 2 + 1) })]]
]

/** A message in frames of 1,000 octets, which come together. */
const inFragments = (size: number): ReadonlyArray<FrameSpec> => {
  const parts = Array.from({ length: Math.ceil(size / 1_000) }, (_, i) => Math.min(1_000, size - i * 1_000))
  return parts.map((length, i) => {
    const bits = { fin: i === parts.length - 1 }
    return i === 0 ? text(filled("x", length), bits) : continuation(filled("x", length), bits)
  })
}

const ways: ReadonlyArray<readonly [name: string, frames: (size: number) => ReadonlyArray<FrameSpec>]> = [
  ["in one frame", (size) => [text(filled("x", size))]],
  ["in fragments", inFragments],
  ["with an empty last fragment", (size) => [text(filled("x", size), open), continuation()]]
]

const sizes: ReadonlyArray<BlindSpot> = [
  {
    id: "B4.4",
    title: "an announced length above the limit fails the connection with 1009 before any payload is there",
    role: "both",
    run: (bench) => each(announcements, (frames) => refusing(bench, 1009, frames, limited))
  },
  {
    id: "B4.5",
    title: "a message of exactly the limit is delivered, one octet more fails the connection with 1009",
    role: "both",
    run: (bench) =>
      each(ways, async (frames) => {
        const { peer } = await bench.open(limited)
        peer.send(...frames(LIMIT))
        const echo = await peer.message()
        demand(echo.length === LIMIT, `of ${LIMIT} octets ${echo.length} came back`)
        peer.send(...frames(LIMIT + 1), behind)
        await fails(peer, 1009)
      })
  }
]

const FRAGMENTS = 16_384

/** So many fragments of a message that has no end. */
const endless = (count: number, payload: string): ReadonlyArray<FrameSpec> => [
  text(payload, open),
  ...Array.from({ length: count - 1 }, () => continuation(payload, open))
]

const fragments: ReadonlyArray<BlindSpot> = [
  {
    id: "B4.6",
    title: `a message of ${FRAGMENTS} fragments is delivered; 100,000, or one more, fail the connection with 1008`,
    role: "both",
    run: (bench) =>
      each(
        [
          ["of 1 octet", "x"],
          ["of 0 octets", ""]
        ] as const,
        async (payload) => {
          const most = [...endless(FRAGMENTS - 1, payload), continuation(payload)]
          const { peer } = await bench.open()
          peer.sendAll(most)
          const echo = await peer.message()
          demand(echo.length === payload.length * FRAGMENTS, `of the largest message ${echo.length} octets came back`)
          peer.sendAll([...endless(FRAGMENTS, payload), continuation(payload)])
          await fails(peer, 1008)
          const { peer: other } = await bench.open()
          other.sendAll(endless(100_000, payload))
          await fails(other, 1008)
        }
      )
  }
]

export const group4: ReadonlyArray<BlindSpot> = [...forms, ...sizes, ...fragments]
