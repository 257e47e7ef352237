import * as nodeBuffer from "node:buffer"
import * as nodeCrypto from "node:crypto"
import { vi } from "vitest"
import type { Assembly } from "../../src/protocol/assembly.js"
import type { Codec, Extension } from "../../src/protocol/Extension.js"
import { defaultLimits, FrameDecoder, type Limits, type Options } from "../../src/protocol/FrameDecoder.js"

const { Buffer } = nodeBuffer

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

/** A module as it loads in Node, also where this run hides what Node has. */
export const loadNative = <Module>(load: () => Promise<Module>): Promise<Module> =>
  loadWhere(load, {
    builtin: (name) => (name === "node:crypto" ? nodeCrypto : nodeBuffer),
    globals: { WebAssembly }
  })

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
export const reading = (
  options: Partial<Options & Limits> = {},
  Decoder: typeof FrameDecoder = FrameDecoder
): Reading => {
  const seen: Array<ReadonlyArray<unknown>> = []
  const note =
    (kind: string) =>
    (payload: Uint8Array): void => {
      seen.push([kind, payload])
    }
  const parts: Options = {
    role: "client",
    receiver: {
      message: (message) => seen.push([typeof message === "string" ? "text" : "binary", message]),
      fragment: ({ data, final }) => seen.push(["fragment", data, final]),
      ping: note("ping"),
      pong: note("pong"),
      close: ({ code, reason }) => seen.push(["close", code, reason])
    },
    ...options
  }
  const decoder = new Decoder(parts, { ...defaultLimits, ...options })
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
export const failure = (options: Partial<Options & Limits>, ...chunks: ReadonlyArray<Uint8Array | string>) => {
  const last = reading(options)
    .read(...chunks)
    .at(-1)
  return last?.[0] === "violation" ? last[1] : undefined
}

/** The bytes in pieces of these sizes, over and over; a size of 0 gives an empty piece, but never two in a row. */
export const chop = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  if (!sizes.some((size) => size > 0)) return [bytes]
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    if (size === 0 && pieces.at(-1)?.length === 0) continue
    pieces.push(bytes.slice(at, at + size))
    at += size
  }
  return pieces
}

/** How much memory a message in the making has set aside, which nobody else sees. */
export const capacityOf = (assembly: Assembly | undefined): number =>
  (assembly as unknown as { bytes: Uint8Array } | undefined)?.bytes.length ?? 0

/** The same for the message that a decoder is reading. */
export const heldBy = (decoder: FrameDecoder): number =>
  capacityOf((decoder as unknown as { message: Assembly | undefined }).message)

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
