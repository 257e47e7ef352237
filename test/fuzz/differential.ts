import { Buffer } from "node:buffer"
import type { EventEmitter } from "node:events"
import { createRequire } from "node:module"
import type { Violation } from "../../src/protocol/Frame.js"
import { FrameDecoder, type Limits, type Options } from "../../src/protocol/FrameDecoder.js"
import { type Mode, roleOf, usage } from "./mode.js"
import { Random } from "./random.js"
import { chunks, stream } from "./streams.js"

/** The decoder beside that of `ws`: the same messages and the same verdict for the same bytes. */

/** The part of ws's receiver that is used here: bytes are written past its stream, so that all happens at once. */
export interface WsReceiver extends EventEmitter {
  _write(chunk: Uint8Array, encoding: "buffer", done: (error?: Error | null) => void): void
}

interface WsOptions {
  readonly isServer: boolean
  readonly maxPayload: number
  readonly maxFragments: number
}

const { Receiver } = createRequire(import.meta.url)("ws") as { Receiver: new (options: WsOptions) => WsReceiver }

const limits: ReadonlyArray<Limits> = [
  { maxMessageSize: 1_048_576, maxFrameSize: 1_048_576, maxFragments: 16_384 },
  { maxMessageSize: 1000, maxFrameSize: 1000, maxFragments: 8 },
  { maxMessageSize: 300, maxFrameSize: 300, maxFragments: 3 }
]

/** What was read, and the code with which it was refused. */
interface Verdict {
  readonly events: ReadonlyArray<string>
  readonly code: number | undefined
  readonly reason: string
}

const hex = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString("hex")

type Reader = (pieces: ReadonlyArray<Uint8Array>, seed: number, limits: Limits) => Verdict

const reader =
  (Decoder: typeof FrameDecoder): Reader =>
  (pieces, seed, limits) => {
    const events: Array<string> = []
    let violation: Violation | undefined
    const parts: Options = {
      role: roleOf(seed),
      receiver: {
        message: (data) => events.push(`${typeof data === "string" ? "text" : "binary"} ${hex(data)}`),
        fragment: () => {},
        ping: (payload) => events.push(`ping ${hex(payload)}`),
        pong: (payload) => events.push(`pong ${hex(payload)}`),
        close: ({ code, reason }) => events.push(`close ${code} ${hex(reason)}`)
      }
    }
    const decoder = new Decoder(parts, limits)
    for (const piece of pieces) violation ??= decoder.decode(piece)
    return { events, code: violation?.code, reason: violation?.reason ?? "" }
  }

export const codeOf = (error: Error): number => {
  const key = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code")
  return key === undefined ? Number.NaN : Number(Reflect.get(error, key))
}

const theirs: Reader = (pieces, seed, limits) => {
  const events: Array<string> = []
  let found: Error | undefined
  const { maxMessageSize: maxPayload, maxFragments } = limits
  const receiver = new Receiver({ isServer: roleOf(seed) === "server", maxPayload, maxFragments })
  receiver.on("message", (data: Uint8Array, isBinary: boolean) => {
    events.push(`${isBinary ? "binary" : "text"} ${hex(data)}`)
  })
  receiver.on("ping", (payload: Uint8Array) => events.push(`ping ${hex(payload)}`))
  receiver.on("pong", (payload: Uint8Array) => events.push(`pong ${hex(payload)}`))
  receiver.on("conclude", (code: number, reason: Uint8Array) => events.push(`close ${code} ${hex(reason)}`))
  for (const piece of pieces) {
    if (found !== undefined || events.at(-1)?.startsWith("close") === true) break
    // ws takes parts of a chunk as Buffers.
    receiver._write(Buffer.from(piece), "buffer", (error) => {
      found ??= error ?? undefined
    })
  }
  return { events, code: found === undefined ? undefined : codeOf(found), reason: found?.message ?? "" }
}

interface Stricter {
  readonly name: string
  readonly reason: string
  /** Whether our refusal is the one that is meant. */
  readonly ours: (verdict: Verdict) => boolean
  /** Whether what ws says beyond what we said is explained by it. */
  readonly theirs: (further: ReadonlyArray<string>, verdict: Verdict) => boolean
}

/** Where we refuse what ws takes, or refuse it earlier or with another code. */
export const stricter: ReadonlyArray<Stricter> = [
  {
    name: "shortest length",
    reason: "§5.2: the minimal number of bytes must be used; ws takes lengths in any form",
    ours: ({ code, reason }) => code === 1002 && reason.includes("shortest form"),
    theirs: () => true
  },
  {
    name: "first bad byte",
    reason: "§8.1: a text fails on the first byte that is not UTF-8; ws looks when the message is whole",
    ours: ({ code, reason }) => code === 1007 && reason.startsWith("text message"),
    // The message itself never comes: only control frames inside of it, or another fault before its end.
    theirs: (further) => further.every((event) => /^(ping|pong|close) /.test(event))
  },
  {
    name: "fragments at the header",
    reason: "a fragment too many is refused before its payload is kept; ws takes the payload first",
    ours: ({ code }) => code === 1008,
    theirs: (further, { code }) => further.length === 0 && code === undefined
  },
  {
    name: "length above 2^63",
    reason: "§5.2: the most significant bit must be 0, a protocol error; to ws it is a message too big",
    ours: ({ code, reason }) => code === 1002 && reason === "length above 2^63",
    theirs: (further, { code }) => further.length === 0 && code === 1009
  }
]

/** How often each of them was met. */
export const met: Map<string, number> = new Map(stricter.map(({ name }) => [name, 0]))

/** A frame is judged when its header is whole (a close frame: when its payload is), by ws as soon as its length is there. */
const LATER = /exceed max|half a close code|length above|shortest form/

const agree = (one: Verdict, other: Verdict): boolean =>
  one.code === other.code &&
  one.events.length === other.events.length &&
  one.events.every((event, i) => event === other.events[i])

/** Our verdict once the rest of a cut header is there: the masking key, and the byte of a close frame that has but one. */
const completed = (ours: Reader, input: Uint8Array, seed: number, limits: Limits): Verdict => {
  for (let missing = 1; missing <= 5; missing++) {
    const verdict = ours([Buffer.concat([input, new Uint8Array(missing)])], seed, limits)
    if (verdict.code !== undefined) return verdict
  }
  return ours([input.slice()], seed, limits)
}

const explain = (we: Verdict, they: Verdict): Stricter | undefined =>
  we.events.every((event, i) => event === they.events[i])
    ? stricter.find((point) => point.ours(we) && point.theirs(they.events.slice(we.events.length), they))
    : undefined

/** The mode; another decoder can be put in the place of ours, to see that its faults are found. */
export const differentialMode = (Decoder: typeof FrameDecoder = FrameDecoder): Mode => ({
  name: "differential",
  generate: (random, seed) => stream(random, roleOf(seed)),
  check: (input, seed) => {
    const random = new Random(usage(seed))
    const ours = reader(Decoder)
    const limit = random.pick(limits)
    let we = ours(chunks(random, input), seed, limit)
    const they = theirs(chunks(random, input), seed, limit)
    if (agree(we, they)) return undefined
    if (we.code === undefined && they.code !== undefined) {
      const later = completed(ours, input, seed, limit)
      if (LATER.test(later.reason)) we = later
      if (agree(we, they)) return undefined
    }
    const point = explain(we, they)
    if (point !== undefined) {
      met.set(point.name, met.get(point.name)! + 1)
      return undefined
    }
    if (we.code !== they.code)
      return `we say ${we.code ?? "nothing"} (${we.reason}), ws ${they.code ?? "nothing"} (${they.reason})`
    return "we read other messages than ws"
  }
})

export const differential: Mode = differentialMode()
