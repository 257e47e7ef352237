import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import { chop, counting, failure, filled, hex, inverting, join, reading, unhex } from "./helpers.js"

const { Opcode } = Frame

describe("FrameDecoder, messages", () => {
  it.each([
    ["a text", "81 05 48656c6c6f", ["text", "Hello"]],
    ["an empty text", "81 00", ["text", ""]],
    ["a binary message", "82 02 00ff", ["binary", "00ff"]],
    ["an empty binary message", "82 00", ["binary", ""]]
  ])("delivers %s in one frame", (_, wire, event) => {
    expect(reading().read(wire)).toEqual([event])
  })

  it("unmasks what a server reads", () => {
    expect(reading({ role: "server" }).read("81 85 37fa213d 7f9f4d5158")).toEqual([["text", "Hello"]])
    expect(reading({ role: "server" }).read("82 80 37fa213d")).toEqual([["binary", ""]])
  })

  it("goes on with the masking key where a chunk cut the payload", () => {
    const wire = Frame.serialize(Frame.binary(counting(100)), 0x89abcdef)
    for (const size of [1, 2, 3, 5, 7, 50]) {
      expect(reading({ role: "server" }).read(...chop(wire, [size]))).toEqual([["binary", hex(counting(100))]])
    }
  })

  it.each([125, 126, 127, 65_535, 65_536, 70_000])("delivers a payload of %i bytes", (length) => {
    const content = counting(length)
    const wire = Frame.serialize(Frame.binary(content))
    expect(reading().read(wire)).toEqual([["binary", hex(content)]])
    expect(reading().read(...chop(wire, [3, 1000, 1]))).toEqual([["binary", hex(content)]])
  })

  it("delivers all messages of a chunk in order", () => {
    expect(reading().read("81 01 61  82 01 62  81 01 63")).toEqual([
      ["text", "a"],
      ["binary", "62"],
      ["text", "c"]
    ])
  })

  it("puts fragments together, empty ones too", () => {
    const events = [["text", "Hello"]]
    expect(reading().read("01 03 48656c  80 02 6c6f")).toEqual(events)
    expect(reading().read("01 03 48656c", "80 02 6c6f")).toEqual(events)
    expect(reading().read("01 00  00 03 48656c  00 00  00 02 6c6f  80 00")).toEqual(events)
    expect(reading().read("02 00  80 00")).toEqual([["binary", ""]])
  })

  it("delivers control frames at once, also between fragments, and goes on", () => {
    expect(reading().read("01 01 61  89 01 70  00 01 62  8a 00  80 01 63  89 00")).toEqual([
      ["ping", "70"],
      ["pong", ""],
      ["text", "abc"],
      ["ping", ""]
    ])
  })

  it.each([
    ["89 04 70696e67", ["ping", "70696e67"]],
    ["8a 04 706f6e67", ["pong", "706f6e67"]],
    ["88 05 03e8627965", ["close", 1000, "bye"]],
    ["88 00", ["close", 1005, ""]]
  ])("delivers the control frame %s, wherever it is cut", (text, event) => {
    const wire = unhex(text)
    for (let cut = 0; cut <= wire.length; cut++) {
      expect(reading().read(wire.subarray(0, cut), wire.subarray(cut))).toEqual([event])
    }
    expect(reading().read(...chop(wire, [1]))).toEqual([event])
  })

  it("delivers a control frame of 125 bytes", () => {
    const wire = Frame.serialize(Frame.ping(counting(125)))
    expect(reading().read(wire)).toEqual([["ping", hex(counting(125))]])
    expect(reading().read(...chop(wire, [2, 50]))).toEqual([["ping", hex(counting(125))]])
  })

  it("delivers nothing behind a close frame and reads nothing more", () => {
    const { decoder, read } = reading()
    expect(read("81 01 61  88 02 03e8  81 01 62", "ffff", "81 01 63")).toEqual([
      ["text", "a"],
      ["close", 1000, ""]
    ])
    expect(decoder.isPartial).toBe(false)
  })

  it("forgets a message that a close frame interrupts", () => {
    const { decoder, read } = reading()
    expect(read("01 01 61")).toEqual([])
    expect(decoder.isPartial).toBe(true)
    expect(read("88 02 03e9", "80 01 62")).toEqual([["close", 1001, ""]])
    expect(decoder.isPartial).toBe(false)
  })

  it("hands over memory of its own, so that a chunk's may be used again", () => {
    // The helper spoils each chunk when decode has returned.
    const wire = join(
      Frame.serialize(Frame.binary(filled(5000, 1))),
      Frame.serialize(Frame.ping(filled(9, 2))),
      Frame.serialize(Frame.binary(filled(3, 3)))
    )
    const events = [
      ["binary", hex(filled(5000, 1))],
      ["ping", hex(filled(9, 2))],
      ["binary", hex(filled(3, 3))]
    ]
    expect(reading().read(wire)).toEqual(events)
    expect(reading().read(...chop(wire, [2048]))).toEqual(events)
  })

  it("knows whether a message is arriving", () => {
    for (const [wire, isPartial] of [
      ["", false],
      ["81", true],
      ["81 02", true],
      ["81 02 61", true],
      ["81 02 6162", false],
      ["01 00", true],
      ["01 00  89 00", true],
      ["01 00  80 00", false],
      ["89 01", true],
      ["89 01 00", false],
      ["83", true],
      ["83 00", false]
    ] as const) {
      const { decoder, read } = reading()
      read(wire)
      expect(decoder.isPartial, wire).toBe(isPartial)
    }
  })
})

const data = { text: "1", binary: "2" }

/** Hex of a header's first byte, of the second byte and what follows; the client's view unless the role says otherwise. */
const violations: ReadonlyArray<[name: string, wire: string, reason: string]> = [
  ["a masked frame of a server", "81 80", "frame of a server with a mask"],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): [string, string, string] => [
    `the reserved opcode ${opcode}`,
    `8${opcode.toString(16)} 00`,
    `reserved opcode ${opcode}`
  ]),
  ["a reserved opcode that is not final", "03 00", "reserved opcode 3"],
  ...Object.entries(data).flatMap(([kind, digit]) =>
    ["9", "a", "b", "c", "d", "e", "f"].map((bits): [string, string, string] => [
      `a ${kind} message with reserved bits (${bits})`,
      `${bits}${digit} 00`,
      "reserved bits set without an extension that uses them"
    ])
  ),
  ...["8", "9", "a"].flatMap(
    (opcode): ReadonlyArray<[string, string, string]> => [
      [`control opcode ${opcode} without FIN`, `0${opcode} 00`, "fragmented control frame"],
      [`control opcode ${opcode} of 126 bytes or more`, `8${opcode} 7e`, "control frame longer than 125 bytes"],
      [`control opcode ${opcode} of 65,536 bytes or more`, `8${opcode} 7f`, "control frame longer than 125 bytes"],
      [`control opcode ${opcode} with RSV1`, `c${opcode} 00`, "control frame with reserved bits set"],
      [`control opcode ${opcode} with RSV2`, `a${opcode} 00`, "control frame with reserved bits set"],
      [`control opcode ${opcode} with RSV3`, `9${opcode} 00`, "control frame with reserved bits set"]
    ]
  ),
  ["a continuation of nothing", "80 00", "continuation without a message to continue"],
  ["a continuation of nothing without FIN", "00 00", "continuation without a message to continue"]
]

/** The same inside of a fragmented message. */
const inside: ReadonlyArray<[name: string, wire: string, reason: string]> = [
  ["a text", "81 00", "new message inside of a fragmented one"],
  ["a binary message", "02 00", "new message inside of a fragmented one"],
  ["a continuation with RSV1", "c0 00", "continuation with reserved bits set"],
  ["a continuation with RSV2", "20 00", "continuation with reserved bits set"],
  ["a continuation with RSV3", "90 00", "continuation with reserved bits set"],
  ["a ping with RSV1", "c9 00", "control frame with reserved bits set"]
]

describe("FrameDecoder, what the first two bytes of a frame tell", () => {
  it.each(violations)("refuses %s, without waiting for more", (_, wire, reason) => {
    const events = [
      ["text", "a"],
      ["violation", 1002, reason]
    ]
    const [first, second] = [unhex(wire).subarray(0, 1), unhex(wire).subarray(1)]
    expect(reading().read("81 01 61", wire)).toEqual(events)
    expect(reading().read("81 01 61", first)).toEqual([["text", "a"]])
    expect(reading().read("81 01 61", first, second)).toEqual(events)
    expect(reading().read(`81 01 61 ${wire}`)).toEqual(events)
    expect(reading().read(`81 01 61 ${wire} 8100`, "8101 62")).toEqual(events)
  })

  it.each(inside)("refuses %s inside of a fragmented message", (_, wire, reason) => {
    expect(reading().read(`01 01 61 ${wire}`)).toEqual([["violation", 1002, reason]])
    expect(reading().read("01 01 61", wire)).toEqual([["violation", 1002, reason]])
    // Also where the first fragment is empty.
    expect(reading().read("01 00", ...chop(unhex(wire), [1]))).toEqual([["violation", 1002, reason]])
  })

  it.each(["81 00", "01 7e", "89 00", "88 02", "82 7f"])("refuses %s of a client without a mask", (wire) => {
    const violation = [["violation", 1002, "frame of a client without a mask"]]
    expect(reading({ role: "server" }).read(wire)).toEqual(violation)
    expect(reading({ role: "server" }).read(...chop(unhex(wire), [1]))).toEqual(violation)
  })

  it("refuses them in a header that is whole, too", () => {
    expect(reading({ role: "server" }).read("83 80 00000000")).toEqual([["violation", 1002, "reserved opcode 3"]])
    expect(reading().read("c1 02 6161")).toEqual([
      ["violation", 1002, "reserved bits set without an extension that uses them"]
    ])
  })

  it("takes a message again after a fragmented one", () => {
    expect(reading().read("01 01 61  80 01 62  01 01 63  80 01 64  81 01 65")).toEqual([
      ["text", "ab"],
      ["text", "cd"],
      ["text", "e"]
    ])
    expect(failure({}, "01 01 61  80 01 62  80 01 63")).toBe(1002)
  })

  it("says a violation once and delivers nothing after it", () => {
    const { decoder, read } = reading()
    const events = [["violation", 1002, "reserved opcode 3"]]
    expect(read("01 01 61", "83 00  80 01 62", "80 01 62", "83 00", "")).toEqual(events)
    expect(decoder.isPartial).toBe(false)
  })
})

describe("FrameDecoder, lengths", () => {
  const limits = { maxFrameSize: Number.POSITIVE_INFINITY, maxMessageSize: Number.POSITIVE_INFINITY }

  it.each([
    ["82 7e 0000", 1002],
    ["82 7e 007d", 1002],
    ["82 7e 007e", undefined],
    ["82 7e ffff", undefined],
    ["82 7f 0000000000000000", 1002],
    ["82 7f 000000000000007e", 1002],
    ["82 7f 000000000000ffff", 1002],
    ["82 7f 0000000000010000", undefined],
    ["82 7f 0000000100000000", undefined],
    ["82 7f 7fffffffffffffff", undefined],
    ["82 7f 8000000000000000", 1002],
    ["82 7f ffffffffffffffff", 1002]
  ])("of %s: fails with %s", (wire, code) => {
    expect(failure(limits, wire)).toBe(code)
    expect(failure(limits, ...chop(unhex(wire), [1]))).toBe(code)
    const masked = `${wire.slice(0, 3)}${wire[3] === "7" ? "f" : wire[3]}${wire.slice(4)} 00000000`
    expect(failure({ ...limits, role: "server" }, masked)).toBe(code)
  })

  it.each([
    ["82 7e 007d", "length not in its shortest form"],
    ["82 7f 000000000000ffff", "length not in its shortest form"],
    ["82 7f 8000000000000000", "length above 2^63"]
  ])("of %s are refused with a reason", (wire, reason) => {
    expect(reading(limits).read(wire)).toEqual([["violation", 1002, reason]])
  })

  it("are read exactly", () => {
    const wire = Frame.serialize(Frame.make(Opcode.Binary, filled(0x012345)))
    expect(hex(wire.subarray(0, 10))).toBe("827f0000000000012345")
    expect(reading().read(wire, "81 01 61")).toEqual([
      ["binary", hex(filled(0x012345))],
      ["text", "a"]
    ])
    expect(reading({ ...limits, maxFrameSize: 1 }).read("82 7f 0001020304050607")).toEqual([
      ["violation", 1009, "283686952306183 bytes exceed maxFrameSize (1 bytes)"]
    ])
  })
})

describe("FrameDecoder, close frames", () => {
  it.each([
    ["half a code", "88 01 03", 1002, "close frame with half a close code"],
    ["the code 1005", "88 02 03ed", 1002, "close frame with invalid code 1005"],
    ["the code 2999", "88 02 0bb7", 1002, "close frame with invalid code 2999"],
    ["a reason that is not UTF-8", "88 03 03e8ff", 1007, "close frame with a reason that is not UTF-8"]
  ])("are refused with %s, wherever they are cut", (_, wire, code, reason) => {
    expect(reading().read(`${wire} 8100`)).toEqual([["violation", code, reason]])
    expect(reading().read(...chop(unhex(wire), [1]), "8100")).toEqual([["violation", code, reason]])
  })

  it("are taken with 123 bytes of reason", () => {
    const reason = `${"é".repeat(61)}a`
    const wire = Frame.serialize(Frame.close({ code: 4999, reason }))
    expect(reading().read(wire)).toEqual([["close", 4999, reason]])
  })
})

describe("FrameDecoder, extensions", () => {
  it("take the messages that have their reserved bits, and no other", () => {
    const { read } = reading({ codecs: [inverting(4)] })
    expect(read("c1 01 9e  81 01 62  c2 00  42 01 00  80 02 0102")).toEqual([
      ["text", "a"],
      ["text", "b"],
      ["binary", ""],
      ["binary", "fffefd"]
    ])
  })

  it.each(["a1 00", "91 00", "f1 00"])("leave %s refused, whose bits are nobody's", (wire) => {
    expect(failure({ codecs: [inverting(4)] }, wire)).toBe(1002)
  })

  it("have their bits on a message's first frame alone", () => {
    expect(failure({ codecs: [inverting(4)] }, "41 01 9e  c0 00")).toBe(1002)
    expect(failure({ codecs: [inverting(4)] }, "c9 00")).toBe(1002)
  })

  it("fail the connection with what they find, in one frame and in several", () => {
    const violation = Frame.violation(1007, "not to be decoded")
    const codecs = [{ ...inverting(4), decode: () => violation }]
    const events = [["violation", 1007, "not to be decoded"]]
    expect(reading({ codecs }).read("c1 01 9e  81 00")).toEqual(events)
    expect(reading({ codecs }).read("41 01 9e  80 00  81 00")).toEqual(events)
  })

  it("have their text validated once it is decoded", () => {
    const events = [["violation", 1007, "text message that is not UTF-8"]]
    expect(reading({ codecs: [inverting(4)] }).read("c1 01 00  81 00")).toEqual(events)
    expect(reading({ codecs: [inverting(4)] }).read("41 01 00  80 00  81 00")).toEqual(events)
    // Encoded bytes are no text yet: fe is none, but what it stands for is.
    expect(reading({ codecs: [inverting(4)] }).read("41 00  00 01 fe  80 00")).toEqual([["text", "\x01"]])
  })

  it("are none where two agreed on the same bit", () => {
    expect(failure({ codecs: [inverting(4), inverting(4)] }, "c1 00")).toBe(1002)
  })
})
