import { Buffer } from "node:buffer"
import type { Demand } from "./extensions.js"
import { type FrameSpec, Opcode } from "./wire.js"

/** A case as data: what is sent, and what has to come of it. */

/** What the harness sees of its peer, beside close frames. */
export interface Event {
  readonly type: "text" | "binary" | "ping" | "pong"
  readonly payload: Uint8Array
}

/** Compressed where that was agreed on. */
export interface Message {
  readonly type: "text" | "binary"
  readonly payload: Uint8Array
}

export type Step =
  /** Frames in a row. */
  | { readonly _tag: "Frames"; readonly frames: ReadonlyArray<FrameSpec> }
  | { readonly _tag: "Pause"; readonly milliseconds: number }
  /** Parts of a message, one second apart: as frames of their own, or as one frame whose payload comes in parts. */
  | { readonly _tag: "Slowly"; readonly parts: ReadonlyArray<Uint8Array>; readonly as: "frames" | "one frame" }
  /** So many messages, the next only when the echo of the one before is there. */
  | {
      readonly _tag: "RoundTrips"
      readonly message: (n: number) => Message
      readonly count: number
      /** What a message becomes is sent in fragments of so many octets. */
      readonly fragment: number | undefined
    }
  /** A close frame that begins the closing handshake; the payload may be anything. */
  | { readonly _tag: "Close"; readonly payload: Uint8Array }

/** How octets reach the socket: all in one write, a write per frame, or writes of so many octets. */
export type Writing = "together" | "framewise" | { readonly chops: number }

/** How the connection has to end. */
export interface Ending {
  /** Who may send the first close frame; a testee may just drop TCP. */
  readonly closedBy: "fuzzer" | "testee"
  /** Both close frames, and TCP dropped by the server, are demanded. RFC 6455 §7.1.4. */
  readonly clean: boolean
  /** What the testee's close frame may say; none at all is always fine. */
  readonly codes: ReadonlyArray<number>
}

export interface Case {
  readonly id: string
  readonly steps: ReadonlyArray<Step>
  readonly writing: Writing
  /** The events of a strict peer. */
  readonly expected: ReadonlyArray<Event>
  /** Events that are legal, and less than could be had. */
  readonly tolerated: ReadonlyArray<ReadonlyArray<Event>>
  /** Large messages are compared by type and length. */
  readonly compare: "content" | "length"
  readonly ending: Ending
  /** The case is about permessage-deflate: what is asked of the testee's own messages, the first choice first. */
  readonly deflate: ReadonlyArray<Demand> | undefined
  /** Nothing is demanded; it is recorded only. */
  readonly informational: boolean
  /** How long the peer has, in milliseconds, when all is sent. */
  readonly patience: number
}

/** The fuzzer closes with 1000 when the expected events are there. */
export const closesNormally: Ending = { closedBy: "fuzzer", clean: true, codes: [1000] }
/** The testee has to fail the connection. RFC 6455 §7.1.7. */
export const failsWith = (code: number): Ending => ({ closedBy: "testee", clean: false, codes: [code] })

export const make = (id: string, steps: ReadonlyArray<Step>, rest: Partial<Case> = {}): Case => ({
  id,
  steps,
  writing: "together",
  expected: [],
  tolerated: [],
  compare: "content",
  ending: closesNormally,
  deflate: undefined,
  informational: false,
  patience: 1_000,
  ...rest
})

export const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8")
export const hex = (octets: string): Uint8Array => Buffer.from(octets.replaceAll(" ", ""), "hex")
export const filled = (octet: number | string, length: number): Uint8Array => Buffer.alloc(length, octet)
/** So many octets of a pattern that repeats. */
export const repeated = (pattern: Uint8Array, length: number): Uint8Array => Buffer.alloc(length, pattern)

const bytesOf = (payload: string | Uint8Array): Uint8Array => (typeof payload === "string" ? utf8(payload) : payload)

type Bits = Partial<Omit<FrameSpec, "opcode" | "payload">>
const frameOf =
  (opcode: number) =>
  (payload: string | Uint8Array = "", bits: Bits = {}): FrameSpec => ({ opcode, payload: bytesOf(payload), ...bits })

export const text = frameOf(Opcode.Text)
export const binary = frameOf(Opcode.Binary)
export const continuation = frameOf(Opcode.Continuation)
export const ping = frameOf(Opcode.Ping)
export const pong = frameOf(Opcode.Pong)
export const closeFrame = frameOf(Opcode.Close)
export const reserved = (opcode: number, payload: string | Uint8Array = "") => frameOf(opcode)(payload)

/** Frames of a message that goes on. */
export const open = { fin: false } as const

/** A message in frames of so many octets; where they come out even, an empty one ends it. */
export const fragments = (message: FrameSpec, size: number): ReadonlyArray<FrameSpec> => {
  const { payload } = message
  const frames: Array<FrameSpec> = []
  for (let at = 0; at === 0 || at <= payload.length; at += size) {
    const part = { payload: payload.subarray(at, at + size), fin: payload.length - at < size }
    frames.push(at === 0 ? { ...message, ...part } : { opcode: Opcode.Continuation, ...part })
  }
  return frames
}

export const send = (...frames: ReadonlyArray<FrameSpec>): Step => ({ _tag: "Frames", frames })
export const roundTrips = (message: (n: number) => Message, count: number, fragment?: number): Step => ({
  _tag: "RoundTrips",
  message,
  count,
  fragment
})
export const pause = (milliseconds: number): Step => ({ _tag: "Pause", milliseconds })
export const close = (code?: number, reason: string | Uint8Array = ""): Step => {
  if (code === undefined) return { _tag: "Close", payload: bytesOf(reason) }
  return { _tag: "Close", payload: Buffer.concat([Buffer.of(code >> 8, code & 255), bytesOf(reason)]) }
}

const eventOf =
  <A extends Event["type"]>(type: A) =>
  (payload: string | Uint8Array = "") => ({ type, payload: bytesOf(payload) })

export const saw = { text: eventOf("text"), binary: eventOf("binary"), ping: eventOf("ping"), pong: eventOf("pong") }
