import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import { FrameEncoder, maxHeader } from "../../src/protocol/FrameEncoder.js"
import { key, unicode } from "./arbitraries.js"
import { counting, filled, hex, inverting, loadPortable, unhex, utf8 } from "./helpers.js"

const { Opcode } = Frame

const keys = (...values: ReadonlyArray<number>) => {
  const rest = [...values]
  return () => {
    const next = rest.shift()
    if (next === undefined) throw new Error("more keys asked for than given")
    return next
  }
}

const server = new FrameEncoder({ role: "server", maskingKeys: keys() })
const client = (...values: ReadonlyArray<number>) => new FrameEncoder({ role: "client", maskingKeys: keys(...values) })

/** What is written at an offset into memory of just the size that is asked for, with all around it unchanged. */
const written = (size: number, write: (target: Uint8Array, at: number) => number): Uint8Array => {
  const target = filled(3 + maxHeader + size + 2, 0xaa)
  const end = write(target.subarray(0, target.length - 2), 3)
  expect(hex(target.subarray(0, 3))).toBe("aaaaaa")
  expect(hex(target.subarray(target.length - 2))).toBe("aaaa")
  return target.slice(3, end)
}

const asText = (encoder: FrameEncoder, text: string, opcode: Frame.Opcode = Opcode.Text, fin = true) =>
  written(3 * text.length, (target, at) => encoder.writeText(target, at, opcode, fin, text))

const asBytes = (
  encoder: FrameEncoder,
  payload: Uint8Array,
  opcode: Frame.Opcode = Opcode.Binary,
  fin = true,
  rsv = 0
) => written(payload.length, (target, at) => encoder.writeBytes(target, at, opcode, fin, payload, rsv))

describe("FrameEncoder", () => {
  it("writes a server's frames without a mask", () => {
    expect(hex(asText(server, "Hello"))).toBe("810548656c6c6f")
    expect(hex(asBytes(server, unhex("0102")))).toBe("82020102")
    expect(server.masked).toBe(false)
  })

  it("masks each of a client's frames with the next key", () => {
    const encoder = client(0x37fa213d, 0x00000000, 0xffffffff)
    expect(hex(asText(encoder, "Hello"))).toBe("818537fa213d7f9f4d5158")
    expect(hex(asBytes(encoder, unhex("0102")))).toBe("8282000000000102")
    expect(hex(asBytes(encoder, unhex("0102"), Opcode.Ping))).toBe("8982fffffffffefd")
    expect(encoder.masked).toBe(true)
  })

  it("writes fragments, and the reserved bits that it is told", () => {
    expect(hex(asText(server, "Hel", Opcode.Text, false))).toBe("010348656c")
    expect(hex(asText(server, "lo", Opcode.Continuation, true))).toBe("80026c6f")
    expect(hex(asBytes(server, unhex("ff"), Opcode.Binary, false, 4))).toBe("4201ff")
    expect(hex(asBytes(client(0), unhex("ff"), Opcode.Text, true, 3))).toBe("b18100000000ff")
  })

  it("has no reserved bits unless told otherwise", () => {
    const bytes = written(1, (target, at) => server.writeBytes(target, at, Opcode.Binary, true, unhex("ff")))
    expect(hex(bytes)).toBe("8201ff")
  })

  it.each([0, 1, 41, 42, 43, 62, 63, 64, 125, 126, 127, 21_845, 21_846, 32_768, 65_535, 65_536, 70_000])(
    "puts %i characters behind a header of the shortest form, whatever their bytes are",
    (length) => {
      for (const character of ["a", "é", "€"]) {
        const text = character.repeat(length)
        expect(Buffer.compare(asText(server, text), Frame.serialize(Frame.text(text)))).toBe(0)
        expect(Buffer.compare(asText(client(0x8badf00d), text), Frame.serialize(Frame.text(text), 0x8badf00d))).toBe(0)
      }
    }
  )

  it("leaves the payload that it is given as it is", () => {
    const payload = counting(300)
    asBytes(client(0x12345678), payload)
    expect(payload).toEqual(counting(300))
  })

  it("writes what Frame.serialize writes", () => {
    const opcode = fc.constantFrom(Opcode.Continuation, Opcode.Text, Opcode.Binary)
    const size = fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 65_535, 65_536))
    fc.assert(
      fc.property(size, opcode, fc.boolean(), fc.nat(7), key, (length, opcode, fin, rsv, maskingKey) => {
        const frame = { fin, rsv, opcode, payload: counting(length) }
        expect(Buffer.compare(asBytes(server, frame.payload, opcode, fin, rsv), Frame.serialize(frame))).toBe(0)
        expect(
          Buffer.compare(
            asBytes(client(maskingKey), frame.payload, opcode, fin, rsv),
            Frame.serialize(frame, maskingKey)
          )
        ).toBe(0)
      })
    )
  })

  it("writes text as UTF-8 with U+FFFD for unpaired surrogates, with Node's buffers and without", async () => {
    const portable = await loadPortable(() => import("../../src/protocol/FrameEncoder.js"))
    const encoders = [server, new portable.FrameEncoder({ role: "server", maskingKeys: keys() })]
    fc.assert(
      fc.property(fc.oneof(unicode, fc.string({ unit: fc.constantFrom("\ud83d", "\ude00", "a") })), (text) => {
        for (const encoder of encoders) expect(asText(encoder, text)).toEqual(Frame.serialize(Frame.text(text)))
      })
    )
  })
})

describe("FrameEncoder.writeHeaderOf", () => {
  it.each([0, 125, 126, 65_535, 65_536])(
    "writes the header alone of %i bytes, which a server sends as they are",
    (length) => {
      const payload = counting(length)
      const header = written(0, (target, at) => server.writeHeaderOf(target, at, Opcode.Binary, true, payload))
      expect(hex(header)).toBe(hex(Frame.serialize(Frame.binary(payload)).subarray(0, Frame.headerSize(length))))
      expect(Buffer.compare(payload, counting(length))).toBe(0)
    }
  )

  it.each([0, 125, 126, 65_535, 65_536])("masks %i bytes of a client where they lie", (length) => {
    const payload = counting(length)
    const header = written(0, (target, at) =>
      client(0x89abcdef).writeHeaderOf(target, at, Opcode.Text, false, payload, 4)
    )
    const expected = Frame.serialize({ fin: false, rsv: 4, opcode: Opcode.Text, payload: counting(length) }, 0x89abcdef)
    expect(Buffer.compare(Buffer.concat([header, payload]), expected)).toBe(0)
  })
})

describe("FrameEncoder.transform", () => {
  it("leaves messages as they are where nothing is agreed", () => {
    const payload = utf8("Hello")
    expect(server.transforms).toBe(false)
    expect(server.transform(payload)).toEqual({ payload, rsv: 0 })
  })

  it("sends messages through the agreed extensions", () => {
    const encoder = new FrameEncoder({ role: "server", maskingKeys: keys(), codecs: [inverting(4)] })
    expect(encoder.transforms).toBe(true)
    expect(encoder.transform(unhex("00f0"))).toEqual({ payload: unhex("ff0f"), rsv: 4 })
  })
})
