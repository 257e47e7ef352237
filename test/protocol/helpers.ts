import { Buffer } from "node:buffer"
import { FastCheck as fc } from "effect"
import { vi } from "vitest"
import type { Codec, Extension } from "../../src/protocol/Extension.js"
import * as Frame from "../../src/protocol/Frame.js"
import { defaultLimits, FrameDecoder, type Options } from "../../src/protocol/FrameDecoder.js"

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** Bytes from hex; blanks only help to read it. */
export const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"))

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The text with U+FFFD for every unpaired surrogate. */
export const wellFormed = (text: string): string => Buffer.from(text).toString()

export const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat([...parts]))

export const filled = (length: number, byte = 0x2a): Uint8Array => new Uint8Array(length).fill(byte)

/** Small values that differ from byte to byte, so that a byte in the wrong place is seen. */
export const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff)

/**
 * A module and all that it imports, loaded anew where the runtime has less than
 * Node: `builtin` stands for `process.getBuiltinModule`, `globals` for others.
 */
export const loadWhere = async <Module>(
  load: () => Promise<Module>,
  { builtin, globals = {} }: { builtin?: (name: string) => unknown; globals?: Record<string, unknown> }
): Promise<Module> => {
  vi.resetModules()
  const getBuiltinModule = process.getBuiltinModule
  if (builtin !== undefined) Object.assign(process, { getBuiltinModule: builtin })
  for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value)
  try {
    return await load()
  } finally {
    vi.unstubAllGlobals()
    Object.assign(process, { getBuiltinModule })
    vi.resetModules()
  }
}

/** A module as it loads in a browser. */
export const loadPortable = <Module>(load: () => Promise<Module>): Promise<Module> =>
  loadWhere(load, { builtin: () => undefined })

/** What a decoder said, in order: payloads in hex, text as it is, a violation last. */
export type Event = ReadonlyArray<string | number | boolean>

export interface Reading {
  readonly decoder: FrameDecoder
  /** Gives chunks to the decoder and spoils their memory afterwards, as the next read would; says all events so far. */
  readonly read: (...chunks: ReadonlyArray<Uint8Array | string>) => ReadonlyArray<Event>
  readonly events: () => ReadonlyArray<Event>
}

const plain = (part: unknown): string | number | boolean =>
  part instanceof Uint8Array ? hex(part) : (part as string | number | boolean)

/** A decoder that writes down what it says: a client's, whose input is not masked, unless told otherwise. */
export const reading = (options: Partial<Options> = {}, Decoder: typeof FrameDecoder = FrameDecoder): Reading => {
  const seen: Array<ReadonlyArray<unknown>> = []
  const note =
    (kind: string) =>
    (payload: Uint8Array): void => {
      seen.push([kind, payload])
    }
  const decoder = new Decoder({
    ...defaultLimits,
    role: "client",
    receiver: {
      message: (message) => seen.push([typeof message === "string" ? "text" : "binary", message]),
      fragment: ({ data, final }) => seen.push(["fragment", data, final]),
      ping: note("ping"),
      pong: note("pong"),
      close: ({ code, reason }) => seen.push(["close", code, reason])
    },
    ...options
  })
  // Bytes turn to hex only here: what refers to a chunk's memory shows as spoilt.
  const events = () => seen.map((event) => event.map(plain))
  const read: Reading["read"] = (...chunks) => {
    for (const chunk of chunks) {
      const bytes = typeof chunk === "string" ? unhex(chunk) : chunk.slice()
      const violation = decoder.decode(bytes)
      bytes.fill(0xee)
      if (violation !== undefined) seen.push(["violation", violation.code, violation.reason])
    }
    return events()
  }
  return { decoder, read, events }
}

/** The close code with which a decoder fails on these chunks; undefined where it does not. */
export const failure = (options: Partial<Options>, ...chunks: ReadonlyArray<Uint8Array | string>) => {
  const last = reading(options)
    .read(...chunks)
    .at(-1)
  return last?.[0] === "violation" ? last[1] : undefined
}

/** The bytes in pieces of these sizes, over and over; a size of 0 gives an empty piece. */
export const chop = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  if (!sizes.some((size) => size > 0)) return [bytes]
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    pieces.push(bytes.slice(at, at + size))
    at += size
  }
  return pieces
}

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

export const invert = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0xff)

/** Inverts every bit of a message, under the reserved bits that it is given. */
export const inverting = (rsv: number): Codec => ({ rsv, encode: invert, decode: invert })

/** An extension for tests: it offers and answers the parameter `level`, up to the one that it knows. */
export const toyExtension = (name: string, codec: Codec, level = "1"): Extension => ({
  name,
  offers: [[{ name: "level", value: level }]],
  answer: (offer) =>
    offer.length === 1 && offer[0]!.name === "level" && offer[0]!.value === level
      ? { parameters: [{ name: "level", value: level }], codec }
      : undefined,
  accept: (answer) => (answer.length === 1 && answer[0]!.value === level ? codec : undefined)
})
