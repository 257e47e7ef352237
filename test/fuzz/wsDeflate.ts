import { Buffer } from "node:buffer"
import { createRequire } from "node:module"
import * as NodeDeflate from "../../src/node/NodeDeflate.js"
import type * as PerMessageDeflate from "../../src/protocol/PerMessageDeflate.js"
import { agreedOf, compressedFrames, isWhole } from "./compressed.js"
import { codecOf, limitsOf, type Read, readAll } from "./deflate.js"
import { codeOf, type WsReceiver } from "./differential.js"
import { type Mode, roleOf, usage } from "./mode.js"
import { Random } from "./random.js"
import { chunks } from "./streams.js"

/** Compressed messages beside the receiver of `ws`: the same messages and the same verdict for the same bytes. */

interface WsExtension {
  accept(offers: ReadonlyArray<Readonly<Record<string, ReadonlyArray<string | number | true>>>>): unknown
  cleanup(): void
}

interface WsOptions {
  readonly isServer: boolean
  readonly maxPayload: number
  readonly maxFragments: number
  readonly extensions: Readonly<Record<string, WsExtension>>
}

const { Receiver, PerMessageDeflate: WsDeflate } = createRequire(import.meta.url)("ws") as {
  Receiver: new (options: WsOptions) => WsReceiver
  PerMessageDeflate: new (options: { readonly isServer: boolean; readonly maxPayload: number }) => WsExtension
}

/** What was agreed on, as `ws` has it from the handshake. */
const parametersOf = (seed: number) => {
  const { keepsContext, windowBits } = agreedOf(seed)
  return {
    ...(keepsContext
      ? {}
      : { server_no_context_takeover: [true as const], client_no_context_takeover: [true as const] }),
    server_max_window_bits: [windowBits],
    client_max_window_bits: [windowBits]
  }
}

/** Real time after which `ws` hangs, in milliseconds. */
const PATIENCE = 5000

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const theirs = async (
  pieces: ReadonlyArray<Uint8Array>,
  seed: number,
  { maxMessageSize: maxPayload, maxFragments }: ReturnType<typeof limitsOf>
): Promise<Read> => {
  const events: Array<string> = []
  const isServer = roleOf(seed) === "server"
  const extension = new WsDeflate({ isServer, maxPayload })
  extension.accept([parametersOf(seed)])
  const extensions = { "permessage-deflate": extension }
  const receiver = new Receiver({ isServer, maxPayload, maxFragments, extensions })
  receiver.on("message", (data: Uint8Array, isBinary: boolean) => {
    events.push(`${isBinary ? "binary" : "text"} ${hex(data)}`)
  })
  receiver.on("ping", (payload: Uint8Array) => events.push(`ping ${hex(payload)}`))
  receiver.on("pong", (payload: Uint8Array) => events.push(`pong ${hex(payload)}`))
  receiver.on("conclude", (code: number, reason: Uint8Array) => events.push(`close ${code} ${hex(reason)}`))
  let found: Error | undefined
  for (const piece of pieces) {
    if (found !== undefined || events.at(-1)?.startsWith("close") === true) break
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("ws does not go on")), PATIENCE)
      receiver._write(Buffer.from(piece), "buffer", (error) => {
        clearTimeout(timer)
        found ??= error ?? undefined
        resolve()
      })
    })
  }
  extension.cleanup()
  return { events, code: found === undefined ? undefined : codeOf(found), reason: found?.message ?? "" }
}

interface Point {
  readonly name: string
  readonly reason: string
  /** Whether it explains the first event in which we differ, undefined where one of us has no such event. */
  readonly holds: (ours: string | undefined, theirs: string | undefined, we: Read, they: Read) => boolean
}

const REFUSED = "compressed message that is no deflate data"

/** Where we and `ws` differ on damaged data; what comes behind the first difference is its consequence. */
export const points: ReadonlyArray<Point> = [
  {
    name: "inflated fragment by fragment",
    reason:
      "ws inflates what there is of a message, and refuses it before its end; we read on to that, or to a fragment too many",
    holds: (ours, theirs, we, they) =>
      theirs === undefined &&
      (they.code === 1009 || (they.code === 1007 && !they.reason.includes("UTF-8"))) &&
      (ours === undefined ? we.code === 1008 : /^p[io]ng /.test(ours)) &&
      (we.code === 1007 || we.code === 1008 || we.code === 1009)
  },
  {
    name: "larger before than after",
    reason:
      "the limit is one of messages: data that compression has made larger are refused by ws where they exceed it",
    holds: (_, theirs, __, they) => theirs === undefined && they.code === 1009
  },
  {
    name: "not all there",
    reason:
      "data that are cut short are no message to us (1007); ws delivers what there is of it, or finds fault with that",
    holds: (ours, _, { reason }) => ours === undefined && reason === REFUSED
  },
  {
    name: "behind the last block",
    reason: "RFC 7692 §7.2.3.4: where data end by themselves others may follow; ws reads up to the first such end",
    holds: (ours, theirs, we, they) =>
      theirs === undefined
        ? they.code === 1007
        : ours === undefined
          ? we.code === 1009 || we.code === 1007
          : ours.startsWith(theirs)
  }
]

/** How often each of them was met. */
export const metPoints: Map<string, number> = new Map(points.map(({ name }) => [name, 0]))

/** The mode; other compressors can be put in the place of ours, to see that their faults are found. */
export const wsDeflateMode = (service: PerMessageDeflate.Service = NodeDeflate.service): Mode => ({
  name: "wsDeflate",
  generate: compressedFrames,
  check: async (input, seed) => {
    const random = new Random(usage(seed))
    const role = roleOf(seed)
    const chosen = limitsOf(random)
    // A frame may be as large as a message to ws.
    const limits = { ...chosen, maxFrameSize: chosen.maxMessageSize }
    const ours = (pieces: ReadonlyArray<Uint8Array>) =>
      readAll(pieces, { role, limits, codec: codecOf(service, role, seed) })
    const we = await ours(chunks(random, input))
    const they = await theirs(chunks(random, input), seed, limits)
    if (we.code === they.code && we.events.join() === they.events.join()) return undefined
    const length = Math.max(we.events.length, they.events.length)
    const at = Array.from({ length }, (_, i) => we.events[i] === they.events[i]).indexOf(false)
    const [mine, other] = at < 0 ? [undefined, undefined] : [we.events[at], they.events[at]]
    // Without damage the first two of them are the only ones that there may be.
    const point = points.slice(0, isWhole(seed) ? 2 : undefined).find(({ holds }) => holds(mine, other, we, they))
    if (point === undefined) {
      if (we.code === they.code) return "we read other messages than ws"
      return `we say ${we.code ?? "nothing"} (${we.reason}), ws ${they.code ?? "nothing"} (${they.reason})`
    }
    metPoints.set(point.name, metPoints.get(point.name)! + 1)
    return undefined
  }
})

export const wsDeflate: Mode = wsDeflateMode()
