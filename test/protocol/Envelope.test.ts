import { Buffer } from "node:buffer"
import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as Envelope from "../../src/protocol/Envelope.js"
import { unicode } from "./arbitraries.js"

const session = Uint8Array.from({ length: 16 }, (_, i) => i)
const hex = (message: string | Uint8Array) =>
  typeof message === "string" ? message : Buffer.from(message).toString("hex")

const written: ReadonlyArray<readonly [Envelope.Envelope, string]> = [
  [{ _tag: "Data", message: "text" }, "text"],
  [{ _tag: "Data", message: "" }, ""],
  [{ _tag: "Data", message: Uint8Array.of(1, 2) }, "000102"],
  [{ _tag: "Data", message: new Uint8Array(0) }, "00"],
  [{ _tag: "Hello", received: 0, session: undefined }, "0100"],
  [{ _tag: "Hello", received: 127, session }, "017f000102030405060708090a0b0c0d0e0f"],
  [{ _tag: "Welcome", received: 128, session }, "028001000102030405060708090a0b0c0d0e0f"],
  [{ _tag: "From", number: 1 }, "0301"],
  [{ _tag: "From", number: 16_384 }, "03808001"],
  [{ _tag: "Ack", taken: 300 }, "04ac02"],
  [{ _tag: "Ack", taken: Number.MAX_SAFE_INTEGER }, "04ffffffffffffff0f"],
  [{ _tag: "Unknown" }, "05"],
  [{ _tag: "End" }, "06"]
]

const malformed: ReadonlyArray<readonly [string, string]> = [
  ["", "it is empty"],
  ["07", "its tag is 7"],
  ["ff00", "its tag is 255"],
  ["01", "no number behind its tag 1"],
  ["0480", "no number behind its tag 4"],
  ["048000", "no number behind its tag 4"],
  ["04ffffffffffffff10", "no number behind its tag 4"],
  ["04ffffffffffffffff01", "no number behind its tag 4"],
  ["0401ff", "1 bytes behind its number"],
  ["0300", "messages are counted from 1"],
  ["0100aa", "its session has 1 bytes, not 16"],
  [`0100${"00".repeat(17)}`, "its session has 17 bytes, not 16"],
  ["0200", "its session has 0 bytes, not 16"],
  ["0500", "bytes behind its tag 5"],
  ["0600", "bytes behind its tag 6"]
]

const number = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat())
const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
const envelope: fc.Arbitrary<Envelope.Envelope> = fc.oneof(
  fc.oneof(unicode, fc.uint8Array()).map((message) => ({ _tag: "Data" as const, message })),
  fc
    .tuple(number, fc.option(id, { nil: undefined }))
    .map(([received, session]) => ({ _tag: "Hello" as const, received, session })),
  fc.tuple(number, id).map(([received, session]) => ({ _tag: "Welcome" as const, received, session })),
  number.map((number) => ({ _tag: "From" as const, number: Math.max(1, number) })),
  number.map((taken) => ({ _tag: "Ack" as const, taken })),
  fc.constantFrom({ _tag: "Unknown" as const }, { _tag: "End" as const })
)

describe("C8: an envelope", () => {
  it.each(written)("%o is written as %s", (value, expected) => {
    const message = Envelope.encode(value)
    expect(hex(message)).toBe(expected)
    expect(typeof message).toBe(value._tag === "Data" ? typeof value.message : "object")
    expect(Envelope.decode(message)).toEqual(value)
  })

  it.each(malformed)("of the bytes %s is a violation: %s", (bytes, problem) => {
    expect(Envelope.decode(Uint8Array.from(Buffer.from(bytes, "hex")))).toEqual({
      _tag: "Violation",
      code: 1002,
      reason: `malformed resume envelope: ${problem}`
    })
  })

  it("is read as it was written", () => {
    fc.assert(
      fc.property(envelope, (value) => {
        expect(Envelope.decode(Envelope.encode(value))).toEqual(value)
      })
    )
  })

  it("has one form: what is read is written with the same bytes, and nothing throws", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 30 }),
      fc.tuple(fc.integer({ min: 0, max: 7 }), fc.uint8Array({ maxLength: 20 })).map(([tag, rest]) => {
        return Uint8Array.of(tag, ...rest)
      })
    )
    fc.assert(
      fc.property(bytes, (input) => {
        const read = Envelope.decode(input)
        if (read._tag !== "Violation") expect(hex(Envelope.encode(read))).toBe(hex(input))
        else expect(Buffer.byteLength(read.reason)).toBeLessThanOrEqual(123)
      }),
      { numRuns: 1_000 }
    )
  })

  it("keeps none of the sender's memory", () => {
    const bytes = Uint8Array.of(1)
    const message = Envelope.encode({ _tag: "Data", message: bytes })
    bytes[0] = 2
    expect(hex(message)).toBe("0001")
  })
})
