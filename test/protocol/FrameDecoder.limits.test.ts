import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import { defaultLimits } from "../../src/protocol/FrameDecoder.js"
import { chop, failure, filled, hex, inverting, join, reading, unhex } from "./helpers.js"

const frame = (size: number, opcode: Frame.Opcode = Frame.Opcode.Binary, fin = true) =>
  Frame.serialize({ fin, rsv: 0, opcode, payload: filled(size) })

const fragments = (...sizes: ReadonlyArray<number>) =>
  join(
    ...sizes.map((size, i) =>
      frame(size, i === 0 ? Frame.Opcode.Binary : Frame.Opcode.Continuation, i === sizes.length - 1)
    )
  )

describe("D5: FrameDecoder, the size of frames and messages", () => {
  it("is at most 1 MiB, in 16,384 frames, unless told otherwise", () => {
    expect(defaultLimits).toEqual({ maxMessageSize: 1_048_576, maxFrameSize: 1_048_576, maxFragments: 16_384 })
  })

  it.each([
    [{ maxFrameSize: 10 }, "maxFrameSize"],
    [{ maxMessageSize: 10 }, "maxMessageSize"]
  ])("is at most %j in one frame, however it is cut", (limits, option) => {
    for (const sizes of [[100], [1], [2, 3]]) {
      expect(reading(limits).read(...chop(frame(10), sizes))).toEqual([["binary", hex(filled(10))]])
      expect(reading(limits).read(...chop(frame(11), sizes))).toEqual([
        ["violation", 1009, `11 bytes exceed ${option} (10 bytes)`]
      ])
    }
  })

  it("is counted over all fragments of a message", () => {
    const events = [["binary", hex(filled(10))]]
    for (const wire of [fragments(4, 6), fragments(0, 3, 0, 3, 4), fragments(10, 0)]) {
      expect(reading({ maxMessageSize: 10 }).read(wire)).toEqual(events)
      expect(reading({ maxMessageSize: 10 }).read(...chop(wire, [1]))).toEqual(events)
    }
    for (const wire of [fragments(4, 7), fragments(5, 5, 1), fragments(10, 1)]) {
      expect(reading({ maxMessageSize: 10 }).read(wire)).toEqual([
        ["violation", 1009, "11 bytes exceed maxMessageSize (10 bytes)"]
      ])
    }
  })

  it("is counted anew for each message", () => {
    expect(failure({ maxMessageSize: 10 }, fragments(4, 6), fragments(4, 6), frame(10))).toBeUndefined()
  })

  it("is counted anew for each frame", () => {
    expect(failure({ maxFrameSize: 5 }, fragments(5, 5, 5))).toBeUndefined()
    expect(failure({ maxFrameSize: 5 }, fragments(5, 5, 6))).toBe(1009)
  })

  it("is refused by the header alone, before any payload", () => {
    expect(failure({}, "82 7f 0000000000100001")).toBe(1009)
    expect(failure({}, "82 7f 7fffffffffffffff")).toBe(1009)
    expect(failure({ role: "server", maxMessageSize: 10 }, "82 8b 00000000")).toBe(1009)
    expect(failure({ maxMessageSize: 10 }, "02 06", filled(6), "80 05")).toBe(1009)
  })

  it("does not count control frames, which have a limit of their own", () => {
    const limits = { maxMessageSize: 0, maxFrameSize: 0, maxFragments: 1 }
    expect(reading(limits).read("89 03 010203  82 00  8a 01 00")).toEqual([
      ["ping", "010203"],
      ["binary", ""],
      ["pong", "00"]
    ])
    expect(failure({ maxMessageSize: 2 }, "02 02 0101  89 03 010203  80 00")).toBeUndefined()
  })

  it("is counted after extensions, too", () => {
    const doubling = {
      ...inverting(4),
      decode: (payload: Uint8Array) => join(payload, payload)
    }
    const options = { codecs: [doubling], maxMessageSize: 4 }
    const violation = [["violation", 1009, "6 bytes exceed maxMessageSize (4 bytes)"]]
    expect(reading(options).read("c2 02 0102")).toEqual([["binary", "01020102"]])
    expect(reading(options).read("c2 03 010203")).toEqual(violation)
    expect(reading(options).read("42 02 0102  80 01 03")).toEqual(violation)
  })

  it("is what extensions are told to stop at", () => {
    const limits: Array<number> = []
    const codec = {
      ...inverting(4),
      decode: (payload: Uint8Array, limit: number) => {
        limits.push(limit)
        return payload
      }
    }
    reading({ codecs: [codec], maxMessageSize: 77 }).read("c2 00  42 01 00  80 00")
    expect(limits).toEqual([77, 77])
  })
})

describe("D5: FrameDecoder, the number of fragments", () => {
  it("is at most maxFragments, whatever their size", () => {
    for (const size of [0, 1]) {
      const wire = (count: number) => fragments(...Array<number>(count).fill(size))
      expect(reading({ maxFragments: 4 }).read(wire(4))).toEqual([["binary", hex(filled(4 * size))]])
      expect(reading({ maxFragments: 4 }).read(wire(5))).toEqual([
        ["violation", 1008, "more than maxFragments (4) frames"]
      ])
    }
  })

  it("fails by the header of the first one too many", () => {
    expect(failure({ maxFragments: 2 }, "02 00  00 00", "00 01")).toBe(1008)
    expect(failure({ maxFragments: 2 }, "02 00  00 00", "00")).toBeUndefined()
  })

  it("is counted anew for each message, and without control frames", () => {
    const wire = "02 00  89 00  00 00  8a 00  80 00"
    expect(failure({ maxFragments: 3 }, wire, wire, "82 00", wire)).toBeUndefined()
  })

  it("stops a message of 100,000 fragments at the default", () => {
    for (const fragment of ["0000", "000161"]) {
      const many = Uint8Array.from(Buffer.from(fragment.repeat(1000), "hex"))
      const { read } = reading()
      read("0100")
      for (let i = 0; i < 16; i++) expect(read(many)).toEqual([])
      // The first frame and 16,000 more: 383 are left.
      expect(read(unhex(fragment.repeat(383)))).toEqual([])
      expect(read(unhex(fragment))).toEqual([["violation", 1008, "more than maxFragments (16384) frames"]])
      expect(read(many)).toHaveLength(1)
    }
  })
})
