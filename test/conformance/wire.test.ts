import { Buffer } from "node:buffer"
import { assert, describe, it } from "vitest"
import { encode, FrameReader, type FrameSpec, Opcode } from "./wire.js"

const hexOf = (frame: FrameSpec, isClient = false): string => Buffer.from(encode(frame, isClient)).toString("hex")
const payload = Buffer.from("Hello")

describe("the writer", () => {
  // RFC 6455 §5.7
  it("writes the RFC's examples", () => {
    assert.strictEqual(hexOf({ opcode: Opcode.Text, payload }), "810548656c6c6f")
    const maskingKey = Buffer.from("37fa213d", "hex")
    assert.strictEqual(hexOf({ opcode: Opcode.Text, payload, maskingKey }), "818537fa213d7f9f4d5158")
    assert.strictEqual(hexOf({ opcode: Opcode.Text, payload: Buffer.from("Hel"), fin: false }), "010348656c")
    assert.strictEqual(hexOf({ opcode: Opcode.Binary, payload: Buffer.alloc(256) }).slice(0, 8), "827e0100")
    assert.strictEqual(
      hexOf({ opcode: Opcode.Binary, payload: Buffer.alloc(65_536) }).slice(0, 20),
      "827f0000000000010000"
    )
  })

  it.each<readonly [what: string, frame: FrameSpec, isClient: boolean, written: string]>([
    ["every reserved bit and opcode", { opcode: 15, rsv: 7, payload }, false, "ff0548656c6c6f"],
    ["a length longer than it need be", { opcode: 1, lengthForm: 16, payload }, false, "817e000548656c6c6f"],
    [
      "the longest form of none",
      { opcode: 1, lengthForm: 64, payload: Buffer.alloc(0) },
      false,
      "817f0000000000000000"
    ],
    [
      "a length that no frame has",
      { opcode: 1, announced: 2n ** 63n, payload },
      false,
      "817f800000000000000048656c6c6f"
    ],
    ["an unmasked frame of a client", { opcode: 1, maskingKey: "none", payload }, true, "810548656c6c6f"],
    ["a long control frame", { opcode: 9, payload: Buffer.alloc(126) }, false, `897e007e${"00".repeat(126)}`]
  ])("writes %s", (_, frame, isClient, written) => {
    assert.strictEqual(hexOf(frame, isClient), written)
  })

  it("masks a client's frames with keys that differ", () => {
    const written = Array.from({ length: 50 }, () => hexOf({ opcode: Opcode.Text, payload }, true))
    assert.strictEqual(new Set(written).size, 50)
    for (const frame of written) assert.strictEqual(frame.slice(0, 4), "8185")
  })
})

describe("the reader", () => {
  const frames: ReadonlyArray<FrameSpec> = [
    { opcode: Opcode.Text, payload, fin: false },
    { opcode: Opcode.Ping, payload: Buffer.alloc(0) },
    { opcode: 11, rsv: 5, payload: Buffer.alloc(300, 7), maskingKey: Buffer.from("01020304", "hex") },
    { opcode: Opcode.Continuation, payload, lengthForm: 64 }
  ]
  const bytes = Buffer.concat(frames.map((frame) => encode(frame, false)))

  it.each([1, 2, 3, 7, 100, 1_000])("gives the same frames from pieces of %i octets", (size) => {
    const reader = new FrameReader()
    const read: Array<unknown> = []
    for (let at = 0; at < bytes.length; at += size) {
      reader.push(bytes.subarray(at, at + size))
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        read.push({ ...frame, payload: Buffer.from(frame.payload).toString("hex") })
      }
    }
    const hello = payload.toString("hex")
    assert.deepStrictEqual(read, [
      { fin: false, rsv: 0, opcode: 1, key: undefined, isMinimal: true, payload: hello },
      { fin: true, rsv: 0, opcode: 9, key: undefined, isMinimal: true, payload: "" },
      { fin: true, rsv: 5, opcode: 11, key: Uint8Array.of(1, 2, 3, 4), isMinimal: true, payload: "07".repeat(300) },
      { fin: true, rsv: 0, opcode: 0, key: undefined, isMinimal: false, payload: hello }
    ])
  })

  it("refuses a length with its first bit set", () => {
    const reader = new FrameReader()
    reader.push(encode({ opcode: 1, announced: 2n ** 63n, payload }, false))
    assert.throws(() => reader.next(), "2^63")
  })
})
