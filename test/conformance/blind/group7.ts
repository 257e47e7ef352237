import { Buffer } from "node:buffer"
import { constants, deflateRawSync } from "node:zlib"
import { binary, closeFrame, continuation, fragments, hex, open, ping, pong, text, utf8 } from "../Case.js"
import { dataSets } from "../dataSets.js"
import { type FrameSpec, Opcode, RSV1 } from "../wire.js"
import type { Bench } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { compressed, compressing, openDeflated, readDeflated } from "./deflating.js"
import { fails } from "./expect.js"
import { EXTENSIONS } from "./group2.js"
import type { Task } from "./Testee.js"

/** Compressed messages, right and wrong. RFC 7692 §6, §7.2. */

type Situation = readonly [name: string, frames: ReadonlyArray<FrameSpec>]

/** After a compressed message that is right, frames that fail the connection; what follows them is not received. */
const refusing = (id: string, title: string, code: number, situations: ReadonlyArray<Situation>): BlindSpot => ({
  id,
  title: `${title} fails the connection with ${code}`,
  role: "both",
  run: (bench) =>
    each(situations, async (frames) => {
      const { deflate, peer } = await openDeflated(bench)
      peer.send(compressed(deflate.compress(utf8("right"))))
      const echo = readDeflated(deflate, await peer.frame("an echo"))
      demand(Buffer.from(echo).toString() === "right", "an echo is another message")
      peer.send(...frames, text("behind it"))
      await fails(peer, code)
    })
})

/** Data that refer to nothing before them, unless there is something. */
const deflated = (message: Uint8Array, before?: Uint8Array): Buffer => {
  const dictionary = before === undefined ? {} : { dictionary: before }
  return deflateRawSync(message, { finishFlush: constants.Z_SYNC_FLUSH, ...dictionary }).subarray(0, -4)
}

const json = dataSets.json.message(1, 2_000)
const data = deflated(json)
const hello = deflated(utf8("Hello"))

const spoiled: ReadonlyArray<BlindSpot> = [
  refusing("B7.1a", "invalid deflate data", 1007, [
    ["a block of no type", [compressed(hex("07"))]],
    ["a stored block of two lengths", [compressed(hex("000500faf048656c6c6f"))]],
    ["a distance before the beginning", [compressed(deflated(utf8("found again"), utf8("!found again")))]],
    ["codes that are too many", [compressed(hex("05c0810000000000ff"))]],
    ["text", [compressed(utf8("this is no deflate data, it only says so"))]],
    ["an octet of it changed", [compressed(Buffer.concat([Buffer.of(data[0]! ^ 6), data.subarray(1)]))]],
    ["in fragments", fragments(compressed(Buffer.concat([data, hex("ffffffff")])), 100)],
    ["binary", [binary(hex("07"), { rsv: RSV1 })]]
  ]),
  refusing("B7.1b", "truncated deflate data", 1007, [
    ["half of it", [compressed(data.subarray(0, data.length >> 1))]],
    ["two octets short", [compressed(data.subarray(0, -2))]],
    ["half of it in fragments", fragments(compressed(data.subarray(0, data.length >> 1)), 100)],
    ["inside a stored block", [compressed(hex("000500faff4865"))]],
    ["no data at all", [compressed(new Uint8Array(0))]]
  ]),
  refusing("B7.2", "RSV1 where no message begins", 1002, [
    [
      "on a continuation",
      [compressed(hello.subarray(0, 3)), continuation(hello.subarray(3), { rsv: RSV1 })].map(unended)
    ],
    ["on a continuation of what is not compressed", [text("a", open), continuation("b", { rsv: RSV1 })]],
    ["on a ping", [ping("", { rsv: RSV1 })]],
    ["on a pong", [pong("", { rsv: RSV1 })]],
    ["on a close frame", [closeFrame("", { rsv: RSV1 })]],
    ["RSV2 beside it", [text(hello, { rsv: RSV1 | 2 })]],
    ["RSV3 alone", [text("a", { rsv: 1 })]]
  ]),
  refusing("B7.5", "bad UTF-8 inside compressed text", 1007, [
    ["a surrogate", [compressed(deflated(hex("eda080")))]],
    ["a code point that is cut", [compressed(deflated(hex("cebae1bdb9cf")))]],
    ["beyond U+10FFFF, behind much that is right", [compressed(deflated(Buffer.concat([json, hex("f4908080")])))]],
    ["in fragments", fragments(compressed(deflated(Buffer.concat([json, hex("c0af")]))), 50)]
  ])
]

/** The first of a message's frames goes on. */
function unended(frame: FrameSpec, i: number): FrameSpec {
  return i === 0 ? { ...frame, fin: false } : frame
}

/** What has to be seen for these frames, in this order: pongs, and echoes of messages. */
const brings = async (bench: Bench, frames: ReadonlyArray<FrameSpec>, wanted: ReadonlyArray<FrameSpec>) => {
  const { deflate, peer } = await openDeflated(bench)
  peer.send(...frames)
  for (const { opcode, payload } of wanted) {
    const frame = await peer.frame("an echo")
    const seen = frame.opcode === Opcode.Pong ? frame.payload : readDeflated(deflate, frame)
    const isIt = frame.opcode === opcode && Buffer.compare(seen, payload) === 0
    demand(isIt, `instead of "${Buffer.from(payload)}" it sent opcode ${frame.opcode} with ${seen.length} octets`)
  }
  peer.close(1000)
  const { close, frames: more } = await peer.rest()
  demand(more.length === 0, "it sent more than that")
  demand(close?.code === 1000, `it answered a close frame with ${close?.code ?? "nothing"}`)
}

const readable: ReadonlyArray<
  readonly [name: string, frames: ReadonlyArray<FrameSpec>, wanted: ReadonlyArray<FrameSpec>]
> = [
  ["an empty message", [compressed(hex("00")), compressed(hello)], [text(""), text("Hello")]],
  ["an empty binary message", [binary(hex("00"), { rsv: RSV1 })], [binary("")]],
  ["a stored block", [compressed(hex("000500faff48656c6c6f00"))], [text("Hello")]],
  ["two blocks", [compressed(hex("f248050000 00ffff cac9c90700"))], [text("Hello")]],
  ["uncompressed", [text("plain"), compressed(hello), text("plain")], [text("plain"), text("Hello"), text("plain")]],
  ["uncompressed and empty", [text(""), compressed(hello)], [text(""), text("Hello")]],
  [
    "pings between compressed fragments",
    fragments(compressed(data), 200)
      .flatMap((frame, i) => [frame, ping(`${i}`)])
      .slice(0, -1),
    [
      ...fragments(compressed(data), 200)
        .slice(1)
        .map((_, i) => pong(`${i}`)),
      text(json)
    ]
  ],
  [
    "empty fragments of a compressed message",
    [
      text("", { ...open, rsv: RSV1 }),
      continuation(hello.subarray(0, 2), open),
      continuation("", open),
      continuation(hello.subarray(2), open),
      continuation("")
    ],
    [text("Hello")]
  ],
  ["a message whose fragments are compressed to single octets", fragments(compressed(data), 1), [text(json)]]
]

const legal: ReadonlyArray<BlindSpot> = [
  {
    id: "B7.3",
    title: "a message that ends with a final block is delivered, and so is the next",
    role: "both",
    run: (bench) =>
      each(
        [
          ["the RFC's example", hex("f348cdc9c9070000"), utf8("Hello")] as const,
          ["zlib's", Buffer.concat([deflateRawSync(json), Buffer.of(0)]), json] as const
        ].map(([name, payload, message]) => [name, { payload, message }] as const),
        ({ message, payload }) =>
          brings(
            bench,
            [compressed(payload), compressed(hello), compressed(payload), text("plain")],
            [text(message), text("Hello"), text(message), text("plain")]
          )
      )
  },
  {
    id: "B7.4",
    title: "whatever may be written as a compressed message is delivered, in order, and pings are answered in between",
    role: "both",
    run: (bench) =>
      each(
        readable.map(([name, ...both]) => [name, both] as const),
        (both) => brings(bench, ...both)
      )
  }
]

/** How much a testee may grow while it reads the bomb, in octets. */
const GROWTH = 16 * 2 ** 20
/** How much time of the processor it may take, in milliseconds: a fifth of what all of it takes zlib. */
const BUSY = 200

/** 1 GiB of zeros in frames of 16 KiB, less than the least limit there is. */
const bomb = (): ReadonlyArray<FrameSpec> => {
  const zeros = Buffer.alloc(2 ** 24)
  // A flushed block refers to nothing before it: 64 of the same are 64 times the zeros.
  const block = deflateRawSync(zeros, { level: 9, finishFlush: constants.Z_FULL_FLUSH })
  const whole = Buffer.concat(Array.from({ length: 64 }, () => block))
  return fragments(binary(whole.subarray(0, -4), { rsv: RSV1 }), 16_384)
}

const bombs: BlindSpot = {
  id: "B7.6",
  title: "a bomb of 1 GiB fails the connection with 1009, and is not inflated further than the limit",
  role: "both",
  run: async (bench) => {
    const task: Task = compressing
    const frames = bomb()
    const size = frames.reduce((sum, { payload }) => sum + payload.length, 0)
    demand(size < 2 ** 20, `the bomb itself has ${size} octets, more than the limit`)
    const { measure, peer } = await bench.openApart(task, { [EXTENSIONS]: "permessage-deflate" })
    peer.negotiated = RSV1
    peer.send(compressed(data))
    await peer.frame("an echo")
    await measure()
    peer.sendAll(frames)
    await fails(peer, 1009)
    const { busy, grown } = await measure()
    demand(grown < GROWTH, `it grew by ${(grown / 2 ** 20).toFixed(1)} MiB`)
    demand(busy < BUSY, `it was busy with it for ${Math.round(busy)} ms`)
  }
}

export const group7: ReadonlyArray<BlindSpot> = [...spoiled.slice(0, 3), ...legal, ...spoiled.slice(3), bombs]
