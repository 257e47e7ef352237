import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import { key, unicode } from "./arbitraries.js"
import { filled, hex, unhex, utf8, wellFormed } from "./helpers.js"

const wire = (frame: Frame.Frame, maskingKey?: number) => hex(Frame.serialize(frame, maskingKey))
const plainHex = (text: string) => text.replaceAll(" ", "")

describe("Frame.serialize", () => {
  it.each([
    ["a text", Frame.text("Hello"), undefined, "81 05 48656c6c6f"],
    ["a masked text", Frame.text("Hello"), 0x37fa213d, "81 85 37fa213d 7f9f4d5158"],
    ["a first fragment", { ...Frame.text("Hel"), fin: false }, undefined, "01 03 48656c"],
    ["a last fragment", Frame.make(Frame.Opcode.Continuation, utf8("lo")), undefined, "80 02 6c6f"],
    ["a ping", Frame.ping(utf8("Hello")), undefined, "89 05 48656c6c6f"],
    ["a masked pong", Frame.pong(utf8("Hello")), 0x37fa213d, "8a 85 37fa213d 7f9f4d5158"]
  ] as const)("writes %s as in RFC 6455 §5.7", (_, frame, maskingKey, expected) => {
    expect(wire(frame, maskingKey)).toBe(plainHex(expected))
  })

  it("writes empty control frames in two bytes, six with a mask", () => {
    expect(wire(Frame.ping())).toBe("8900")
    expect(wire(Frame.pong())).toBe("8a00")
    expect(wire(Frame.ping(), 0xffffffff)).toBe("8980ffffffff")
  })

  it("masks with a key of zeros too", () => {
    expect(wire(Frame.binary(unhex("0102")), 0)).toBe("8282000000000102")
  })

  it.each([
    [4, "c"],
    [2, "a"],
    [1, "9"],
    [7, "f"]
  ])("puts the reserved bits %i where they belong", (rsv, digit) => {
    expect(wire({ ...Frame.binary(unhex("ff")), rsv })).toBe(`${digit}201ff`)
  })

  it.each([
    [0, "00"],
    [125, "7d"],
    [126, "7e007e"],
    [65535, "7effff"],
    [65536, "7f0000000000010000"]
  ])("writes a length of %i in its shortest form", (length, expected) => {
    const bytes = Frame.serialize(Frame.binary(filled(length)))
    expect(hex(bytes.subarray(0, 1 + expected.length / 2))).toBe(`82${expected}`)
    expect(bytes).toHaveLength(Frame.headerSize(length) + length)
    expect(Frame.headerSize(length)).toBe(1 + expected.length / 2)
  })

  it("does not change the payload that it masks", () => {
    const payload = utf8("Hello")
    Frame.serialize(Frame.text("Hello"), 0x37fa213d)
    Frame.serialize(Frame.binary(payload), 0x37fa213d)
    expect(payload).toEqual(utf8("Hello"))
  })

  it("is memory of its own", () => {
    const payload = utf8("Hello")
    const bytes = Frame.serialize(Frame.binary(payload))
    payload.fill(0)
    expect(hex(bytes)).toBe("820548656c6c6f")
  })
})

describe("Frame.writeHeader", () => {
  it.each([
    [125, "82fd", "827d"],
    [126, "82fe007e", "827e007e"],
    [0x1234, "82fe1234", "827e1234"],
    [0x12345678, "82ff0000000012345678", "827f0000000012345678"],
    [0x1_0000_0000, "82ff0000000100000000", "827f0000000100000000"],
    [0x1_0000_0002, "82ff0000000100000002", "827f0000000100000002"],
    [Number.MAX_SAFE_INTEGER, "82ff001fffffffffffff", "827f001fffffffffffff"]
  ])("writes a length of %i, masked and not, at its offset", (length, masked, unmasked) => {
    for (const [isMasked, expected] of [
      [true, masked],
      [false, unmasked]
    ] as const) {
      const target = filled(16, 0xaa)
      const end = Frame.writeHeader(target, 3, 0x82, isMasked, length)
      expect(end).toBe(3 + expected.length / 2)
      expect(hex(target)).toBe(`aaaaaa${expected}`.padEnd(32, "a"))
    }
  })

  it("writes the masking key with its highest byte first", () => {
    const target = filled(6, 0xaa)
    expect(Frame.writeMaskingKey(target, 1, 0xfedcba98)).toBe(5)
    expect(hex(target)).toBe("aafedcba98aa")
  })
})

describe("Frame, the content of close frames", () => {
  it("is two bytes of code, then the reason", () => {
    expect(wire(Frame.close({ code: 1000, reason: "bye" }))).toBe("880503e8627965")
    expect(wire(Frame.close({ code: 4999, reason: "µ" }))).toBe("88041387c2b5")
    expect(wire(Frame.close({ code: 1001, reason: "" }))).toBe("880203e9")
  })

  it("is nothing at all where there is no code", () => {
    expect(wire(Frame.close({ code: 1005, reason: "" }))).toBe("8800")
    expect(wire(Frame.close({ code: 1005, reason: "ignored" }))).toBe("8800")
    expect(Frame.parseClose(unhex(""))).toEqual({ code: 1005, reason: "" })
  })

  it("reads what it writes", () => {
    fc.assert(
      fc.property(fc.constantFrom(1000, 1014, 3000, 4999), unicode, (code, text) => {
        const close = { code, reason: wellFormed(Frame.fitReason(text)) }
        expect(Frame.parseClose(Frame.closePayload(close))).toEqual(close)
      })
    )
  })

  it.each([
    ["half a code", "03", 1002, "close frame with half a close code"],
    ["a code that is reserved", "03ed", 1002, "close frame with invalid code 1005"],
    ["a code that nobody has assigned", "03f8", 1002, "close frame with invalid code 1016"],
    ["the highest code", "ffff", 1002, "close frame with invalid code 65535"],
    ["an invalid code before an invalid reason", "0000ff", 1002, "close frame with invalid code 0"],
    ["a reason that is not UTF-8", "03e8ff", 1007, "close frame with a reason that is not UTF-8"],
    ["a reason cut inside a character", "03e8e282", 1007, "close frame with a reason that is not UTF-8"]
  ])("is refused with %s", (_, payload, code, reason) => {
    expect(Frame.parseClose(unhex(payload))).toEqual(Frame.violation(code, reason))
  })
})

describe("Frame.fitReason", () => {
  it("leaves a reason of 123 bytes as it is and cuts one of 124", () => {
    expect(Frame.maxReason).toBe(123)
    expect(Frame.fitReason("a".repeat(123))).toBe("a".repeat(123))
    expect(Frame.fitReason("a".repeat(124))).toBe("a".repeat(123))
  })

  it("counts bytes, not characters", () => {
    expect(Frame.fitReason("é".repeat(61))).toBe("é".repeat(61))
    expect(Frame.fitReason("é".repeat(62))).toBe("é".repeat(61))
  })

  it.each([0, 1, 2, 3, 4])("never cuts inside a character of four bytes, after %i bytes", (before) => {
    const whole = Math.floor((123 - before) / 4)
    expect(Frame.fitReason("a".repeat(before) + "😀".repeat(40))).toBe("a".repeat(before) + "😀".repeat(whole))
  })

  it("gives the longest beginning that fits", () => {
    fc.assert(
      fc.property(unicode, (text) => {
        const reason = wellFormed(text)
        const fitted = Frame.fitReason(reason)
        const size = utf8(fitted).length
        const next = [...reason.slice(fitted.length)][0]
        expect(reason.startsWith(fitted)).toBe(true)
        expect(size).toBeLessThanOrEqual(123)
        if (next !== undefined) expect(size + utf8(next).length).toBeGreaterThan(123)
      })
    )
  })
})

describe("Frame", () => {
  it("has no frame that is longer than its header, key and payload", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.option(key, { nil: undefined }), (payload, maskingKey) => {
        const size = Frame.headerSize(payload.length) + (maskingKey === undefined ? 0 : 4) + payload.length
        expect(Frame.serialize(Frame.binary(payload), maskingKey)).toHaveLength(size)
      })
    )
  })

  it("tells control frames from data frames by their opcode", () => {
    expect([0, 1, 2, 7, 8, 9, 10, 15].map(Frame.isControl)).toEqual([
      false,
      false,
      false,
      false,
      true,
      true,
      true,
      true
    ])
  })

  it("writes an unpaired surrogate as U+FFFD", () => {
    expect(wire(Frame.text("\ud800"))).toBe("8103efbfbd")
  })
})
