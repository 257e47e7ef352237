import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import type { FrameDecoder as Decoder } from "../../src/protocol/FrameDecoder.js"
import * as here from "../../src/protocol/FrameDecoder.js"
import { FrameEncoder, maxHeader } from "../../src/protocol/FrameEncoder.js"
import { type Conversation, conversation, damaged, key, sizes, unicode } from "./arbitraries.js"
import { chop, type Event, hex, inverting, loadPortable, reading, wellFormed } from "./helpers.js"

const codecs = [inverting(4)]

/** Small limits, so that they are met; none for what is valid. */
const tight = { maxMessageSize: 300, maxFrameSize: 200, maxFragments: 3 }

const isLast = ([kind]: Event) => kind === "violation" || kind === "close"

/** Messages whatever their type, each in the place of its last fragment. */
const joined = (events: ReadonlyArray<Event>): ReadonlyArray<Event> => {
  let before = ""
  return events.flatMap(([kind, data, final]): ReadonlyArray<Event> => {
    if (kind === "text" || kind === "binary") return [["message", data!]]
    if (kind !== "fragment") return [[kind!, data!]]
    before += data
    return final === true ? [["message", before]] : []
  })
}

describe.each([
  ["with Node's buffers", () => Promise.resolve(here)],
  ["without", () => loadPortable(() => import("../../src/protocol/FrameDecoder.js"))]
])("FrameDecoder, %s", async (_, module) => {
  const FrameDecoder: typeof Decoder = (await module()).FrameDecoder

  const read = ({ role, wire }: Conversation, cuts: ReadonlyArray<number>, limits = {}) =>
    reading({ role, codecs, ...limits }, FrameDecoder).read(new Uint8Array(0), ...chop(wire, cuts))

  it("reads valid frames without a violation", () => {
    fc.assert(
      fc.property(conversation, sizes, (talk, cuts) => {
        expect(read(talk, cuts).filter(([kind]) => kind === "violation")).toEqual([])
      })
    )
  })

  it.each([
    ["valid frames", conversation],
    ["anything", damaged]
  ])("reads %s the same however it is cut, byte by byte too", (_, anything) => {
    fc.assert(
      fc.property(anything, sizes, fc.constantFrom({}, tight), (talk, cuts, limits) => {
        const whole = read(talk, [], limits)
        expect(read(talk, cuts, limits)).toEqual(whole)
        expect(read(talk, [1], limits)).toEqual(whole)
        expect(read(talk, [1, 0, 0], limits)).toEqual(whole)
      }),
      { numRuns: 150 }
    )
  })

  it("hands over a message in fragments that are, put together, the message", () => {
    fc.assert(
      fc.property(conversation, sizes, ({ role, wire }, cuts) => {
        const { decoder, read } = reading({ role, codecs }, FrameDecoder)
        decoder.receiveFragments()
        expect(joined(read(...chop(wire, cuts)))).toEqual(joined(reading({ role, codecs }, FrameDecoder).read(wire)))
      })
    )
  })

  it("says nothing twice and nothing behind a violation or a close frame", () => {
    fc.assert(
      fc.property(damaged, damaged, sizes, (talk, more, cuts) => {
        const { decoder, read } = reading({ role: talk.role, codecs, ...tight }, FrameDecoder)
        const events = read(...chop(talk.wire, cuts))
        expect(events.slice(0, -1).filter(isLast)).toEqual([])
        const last = events.at(-1)
        if (last === undefined || !isLast(last)) return
        expect(decoder.isPartial).toBe(false)
        decoder.receiveFragments()
        expect(read(more.wire, talk.wire)).toEqual(events)
      })
    )
  })

  it("throws for no bytes at all, whatever is asked of it in between", () => {
    const wish = fc.constantFrom<(decoder: Decoder) => unknown>(
      () => undefined,
      (decoder) => decoder.receiveFragments(),
      (decoder) => decoder.receiveWhole(),
      (decoder) => decoder.discard(),
      (decoder) => decoder.isPartial
    )
    fc.assert(
      fc.property(damaged, sizes, fc.array(wish), ({ role, wire }, cuts, wishes) => {
        const { decoder, read } = reading({ role, codecs, ...tight }, FrameDecoder)
        chop(wire, cuts).forEach((piece, i) => {
          wishes[i]?.(decoder)
          read(piece)
        })
      }),
      { numRuns: 300 }
    )
  })

  it("delivers neither message nor fragment once it discards, and finds the same violations", () => {
    fc.assert(
      fc.property(damaged, sizes, ({ role, wire }, cuts) => {
        const kept = reading({ role, ...tight }, FrameDecoder).read(...chop(wire, cuts))
        const { decoder, read } = reading({ role, ...tight }, FrameDecoder)
        decoder.discard()
        expect(read(...chop(wire, cuts))).toEqual(kept.filter(([kind]) => kind !== "text" && kind !== "binary"))
      })
    )
  })

  it.each(["client", "server"] as const)("reads what the peer of a %s has written", (role) => {
    const message = fc.oneof(unicode, fc.uint8Array({ maxLength: 300 }))
    const peer = role === "client" ? "server" : "client"
    fc.assert(
      fc.property(message, key, sizes, (content, maskingKey, cuts) => {
        const encoder = new FrameEncoder({ role: peer, maskingKeys: () => maskingKey })
        const target = new Uint8Array(3 * content.length + maxHeader)
        const end =
          typeof content === "string"
            ? encoder.writeText(target, 0, Frame.Opcode.Text, true, content)
            : encoder.writeBytes(target, 0, Frame.Opcode.Binary, true, content)
        const wire = target.subarray(0, end)
        const expected = typeof content === "string" ? ["text", wellFormed(content)] : ["binary", hex(content)]
        expect(reading({ role }, FrameDecoder).read(...chop(wire, cuts))).toEqual([expected])
        const byItself = reading({ role: peer }, FrameDecoder).read(wire)
        expect(byItself.map((event) => event.slice(0, 2))).toEqual([["violation", 1002]])
      })
    )
  })
})
