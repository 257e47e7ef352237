import { FastCheck as fc } from "effect"
import * as Frame from "../../src/protocol/Frame.js"
import { chop, invert, join, utf8 } from "./helpers.js"

export const sizes: fc.Arbitrary<ReadonlyArray<number>> = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 200 })),
  { minLength: 1, maxLength: 8 }
)

export const key: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffffffff })

/** Text in every range of Unicode, of a few characters or of many. */
export const unicode: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 20 }),
  fc
    .tuple(fc.string({ unit: "binary", minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 300 }))
    .map(([text, times]) => text.repeat(times))
)

const controlFrame: fc.Arbitrary<Frame.Frame> = fc
  .tuple(fc.boolean(), fc.uint8Array({ maxLength: 125 }))
  .map(([isPing, payload]) => (isPing ? Frame.ping(payload) : Frame.pong(payload)))

/** One message cut into fragments, with control frames before, between and behind them. */
const messageFrames: fc.Arbitrary<ReadonlyArray<Frame.Frame>> = fc
  .record({
    content: fc.oneof(unicode, fc.uint8Array({ maxLength: 300 })),
    rsv: fc.constantFrom(0, 0, 4),
    sizes: fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 4 }),
    controls: fc.array(fc.option(controlFrame, { freq: 3, nil: undefined }), { maxLength: 4 })
  })
  .map(({ content, rsv, sizes, controls }) => {
    const isText = typeof content === "string"
    const bytes = isText ? utf8(content) : content
    const payload = rsv === 0 ? bytes : invert(bytes)
    const pieces = [...chop(payload, sizes)]
    if (pieces.length === 0) pieces.push(new Uint8Array(0))
    return pieces.flatMap((piece, i) => {
      const opcode = i > 0 ? Frame.Opcode.Continuation : isText ? Frame.Opcode.Text : Frame.Opcode.Binary
      const frame: Frame.Frame = { fin: i === pieces.length - 1, rsv: i === 0 ? rsv : 0, opcode, payload: piece }
      const control = controls[i]
      return control === undefined ? [frame] : [frame, control]
    })
  })

export interface Conversation {
  /** Who reads it. */
  readonly role: Frame.Role
  readonly wire: Uint8Array
}

/** Valid frames, as one end reads them, with an extension on RSV1 that inverts every bit. */
export const conversation: fc.Arbitrary<Conversation> = fc
  .record({
    role: fc.constantFrom<Frame.Role>("client", "server"),
    messages: fc.array(messageFrames, { maxLength: 5 }),
    close: fc.option(
      fc.constantFrom(Frame.close({ code: 1000, reason: "bye" }), Frame.close({ code: 1005, reason: "" }))
    ),
    keys: fc.infiniteStream(key)
  })
  .map(({ role, messages, close, keys }) => ({
    role,
    wire: join(
      ...[...messages.flat(), ...(close === null ? [] : [close])].map((frame) =>
        Frame.serialize(frame, role === "server" ? keys.next().value : undefined)
      )
    )
  }))

/** The same with some bytes changed, cut off, or not frames at all. */
export const damaged: fc.Arbitrary<Conversation> = fc.oneof(
  fc
    .tuple(conversation, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }), fc.nat())
    .map(([{ role, wire }, changes, end]) => {
      const bytes = wire.slice(0, wire.length === 0 ? 0 : wire.length - (end % 2 === 0 ? 0 : end % wire.length))
      for (const [at, value] of changes) {
        if (bytes.length > 0) bytes[at % bytes.length] = value
      }
      return { role, wire: bytes }
    }),
  fc.record({ role: fc.constantFrom<Frame.Role>("client", "server"), wire: fc.uint8Array({ maxLength: 64 }) })
)
