import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Frame } from "effect-websockets/testing"
import * as Ours from "../../src/protocol/Frame.js"
import { FrameReader } from "../../src/testing/frameReader.js"
import { chop } from "../protocol/helpers.js"
import { hex } from "../support.js"

const rfcKey = 0x37fa213d

describe("L11: a frame's bytes", () => {
  it.each<readonly [string, Frame.Frame, Frame.SerializeOptions, string]>([
    ["a text", Frame.text("Hello"), {}, "810548656c6c6f"],
    ["a masked text", Frame.text("Hello"), { maskingKey: rfcKey }, "818537fa213d7f9f4d5158"],
    ["a first fragment", { ...Frame.text("Hel"), fin: false }, {}, "010348656c"],
    ["the last fragment", Frame.continuation("lo"), {}, "80026c6f"],
    ["a ping", Frame.ping("Hello"), {}, "890548656c6c6f"],
    ["a masked pong", Frame.pong("Hello"), { maskingKey: rfcKey }, "8a8537fa213d7f9f4d5158"]
  ])("is that of RFC 6455 §5.7: %s", (_, frame, options, expected) => {
    assert.strictEqual(hex(Frame.serialize(frame, options)), expected)
  })

  it.each([
    [256, "827e0100"],
    [65_536, "827f0000000000010000"]
  ])("is that of RFC 6455 §5.7: %s bytes", (size, head) => {
    const bytes = Frame.serialize(Frame.binary(new Uint8Array(size)))
    assert.strictEqual(hex(bytes.subarray(0, head.length / 2)), head)
    assert.strictEqual(bytes.length, head.length / 2 + size)
  })

  it.each<readonly [string, Frame.Frame, Frame.SerializeOptions, string]>([
    ["reserved bits", { ...Frame.text("a"), rsv: 5 }, {}, "d10161"],
    ["a reserved opcode", Frame.make(3, "a"), {}, "830161"],
    ["a fragmented ping", { ...Frame.ping(), fin: false }, {}, "0900"],
    ["a text that is no UTF-8", Frame.text(Uint8Array.of(0xc3, 0x28)), {}, "8102c328"],
    ["a length in too many bytes", Frame.text("a"), { lengthForm: 16 }, "817e000161"],
    ["a length in eight bytes", Frame.text("a"), { lengthForm: 64 }, "817f000000000000000161"],
    ["a length above 2^63", Frame.text(""), { announced: (1n << 64n) - 1n }, "817fffffffffffffffff"],
    ["more than is announced", Frame.text("ab"), { announced: 1 }, "81016162"],
    ["a close frame without content", Frame.close(), {}, "8800"],
    ["a code that never stands there", Frame.close(1005), {}, "880203ed"],
    ["a code out of range", Frame.close(65_535, "x"), {}, "8803ffff78"],
    ["a reason that is no UTF-8", Frame.close(1000, Uint8Array.of(0xff)), {}, "880303e8ff"],
    ["half a code", Frame.make(8, Uint8Array.of(3)), {}, "880103"]
  ])("may be what nobody may send: %s", (_, frame, options, expected) => {
    assert.strictEqual(hex(Frame.serialize(frame, options)), expected)
  })

  it("is what the library's own would be, for frames that may be sent", () => {
    const payload = fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 65_530, maxLength: 65_540 }))
    const opcode = fc.constantFrom(...Object.values(Ours.Opcode))
    const key = fc.option(fc.nat(0xffffffff), { nil: undefined })
    fc.assert(
      fc.property(opcode, payload, fc.boolean(), key, (opcode, payload, fin, maskingKey) => {
        const frame = { ...Ours.make(opcode, payload), fin }
        assert.deepStrictEqual(Frame.serialize(frame, { maskingKey }), Ours.serialize(frame, maskingKey))
      }),
      { numRuns: 50 }
    )
  })
})

describe("L11: a frame in a line", () => {
  it.each<readonly [Frame.Frame, string]>([
    [Frame.text("World"), 'TEXT "World" [5 bytes]'],
    [Frame.close(1000, "bye"), 'CLOSE 1000 (NormalClosure) "bye" [5 bytes]'],
    [{ ...Frame.make(3, "a"), rsv: 1, fin: false }, "OPCODE 3 61 [1 bytes, RSV 1, continued]"],
    [Frame.text("x".repeat(100)), `TEXT "${"x".repeat(48)}" … [100 bytes]`],
    [Frame.binary(new Uint8Array(100)), `BINARY ${"00 ".repeat(16).trim()} … [100 bytes]`]
  ])("%o", (frame, line) => {
    assert.strictEqual(Frame.show(frame), line)
  })
})

describe("L11: reading frames", () => {
  const anyFrame = fc.record({
    fin: fc.boolean(),
    rsv: fc.nat(7),
    opcode: fc.nat(15),
    payload: fc.oneof(fc.uint8Array(), fc.uint8Array({ minLength: 65_530, maxLength: 65_540 }))
  })
  const keys = fc.option(fc.nat(0xffffffff), { nil: undefined })
  const written = fc.tuple(anyFrame, keys, fc.constantFrom<7 | 16 | 64 | undefined>(undefined, 64))

  it("finds what was written, however it is cut and whatever it breaks", () => {
    fc.assert(
      fc.property(
        fc.array(written, { maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1 }),
        (frames, sizes) => {
          const bytes = frames.flatMap(([frame, maskingKey, lengthForm]) => [
            ...Frame.serialize(frame, { maskingKey, lengthForm })
          ])
          const reader = new FrameReader()
          const found: Array<unknown> = []
          let size = 0
          for (const chunk of chop(Uint8Array.from(bytes), sizes)) {
            reader.push(chunk)
            for (let read = reader.next(); read !== undefined; read = reader.next()) {
              found.push([read.frame, read.maskingKey])
              size += read.size
            }
          }
          assert.deepStrictEqual(
            found,
            frames.map(([frame, maskingKey]) => [frame, maskingKey])
          )
          assert.strictEqual(size, bytes.length)
          assert.lengthOf(reader.rest, 0)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("keeps what is no whole frame until it is one, or is forgotten", () => {
    const reader = new FrameReader()
    reader.push(Uint8Array.of(0x81, 0x02, 0x61))
    assert.isUndefined(reader.next())
    assert.deepStrictEqual(reader.rest, Uint8Array.of(0x81, 0x02, 0x61))
    reader.push(Uint8Array.of(0x62, 0x89))
    assert.deepStrictEqual(reader.next()?.frame, Frame.text("ab"))
    assert.isUndefined(reader.next())
    reader.forget()
    reader.push(Frame.serialize(Frame.pong()))
    assert.deepStrictEqual(reader.next()?.frame, Frame.pong())
  })

  it("does not take a payload for its own that is changed later", () => {
    const reader = new FrameReader()
    const bytes = Frame.serialize(Frame.text("ab"))
    reader.push(bytes)
    const read = reader.next()
    bytes.fill(0)
    assert.deepStrictEqual(read?.frame, Frame.text("ab"))
  })
})
