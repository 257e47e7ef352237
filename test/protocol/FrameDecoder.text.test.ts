import { describe, expect, it } from "vitest"
import * as Frame from "../../src/protocol/Frame.js"
import { chop, filled, join, reading, unhex, utf8 } from "./helpers.js"

const notUtf8 = ["violation", 1007, "text message that is not UTF-8"]

const greek = "cebae1bdb9cf83cebcceb5"

describe("FrameDecoder, text", () => {
  it.each(["", "a", "µ@ßöäüàá", "κόσμε", "\ufeffbom", "\ufffd", "😀".repeat(10_000), `${"a".repeat(70_000)}é`])(
    "delivers %.20s… whole and in fragments of one byte",
    (text) => {
      const bytes = utf8(text)
      expect(reading().read(Frame.serialize(Frame.text(text)))).toEqual([["text", text]])
      const first = Frame.serialize({ ...Frame.make(Frame.Opcode.Text, bytes.subarray(0, 1)), fin: false })
      const others = chop(bytes.subarray(1), [1]).map((payload) =>
        Frame.serialize({ ...Frame.make(Frame.Opcode.Continuation, payload), fin: false })
      )
      const wire = join(first, ...others, unhex("8000"))
      expect(reading({ maxFragments: 100_000 }).read(wire)).toEqual([["text", text]])
    }
  )

  it.each(["80", "c0af", "eda080", "f4908080", "fe", "ce", `${greek}eda080656469746564`, "e282"])(
    "refuses %s as a whole message",
    (payload) => {
      const bytes = unhex(payload)
      for (const before of [0, 100, 1000]) {
        const wire = Frame.serialize(Frame.make(Frame.Opcode.Text, join(filled(before), bytes)))
        expect(reading().read(wire, "8100")).toEqual([notUtf8])
        expect(reading().read(...chop(wire, [1]), "8100")).toEqual([notUtf8])
      }
    }
  )

  it("is not looked for in binary messages", () => {
    expect(reading().read("82 02 feff", "02 01 ff  80 01 fe")).toEqual([
      ["binary", "feff"],
      ["binary", "fffe"]
    ])
  })

  it.each([
    ["f4", "90", "8080"],
    ["", "f5", "808080"],
    ["", "80", ""],
    ["ed", "a0", "80"],
    ["c3", "41", ""]
  ])("fails at the bad byte itself: %s, then %s", (good, bad, rest) => {
    const start = unhex(greek + good)
    const payload = join(start, unhex(bad + rest), filled(20))
    const length = payload.length.toString(16).padStart(2, "0")

    // Inside of a frame that is still arriving.
    const within = reading()
    expect(within.read(`81 ${length}`, start)).toEqual([])
    expect(within.read(bad)).toEqual([notUtf8])

    // In a chunk with what comes before it.
    expect(reading().read(join(unhex(`81${length}`), start, unhex(bad)))).toEqual([notUtf8])

    // Across fragments.
    const across = reading()
    expect(across.read(Frame.serialize({ ...Frame.make(Frame.Opcode.Text, start), fin: false }))).toEqual([])
    expect(across.read("89 00", `00 02 ${bad}`)).toEqual([["ping", ""], notUtf8])
  })

  it("fails at the bad byte of a masked frame, too", () => {
    const wire = Frame.serialize(Frame.make(Frame.Opcode.Text, unhex("6162ff63")), 0x12345678)
    const { read } = reading({ role: "server" })
    expect(read(wire.subarray(0, 8))).toEqual([])
    expect(read(wire.subarray(8, 9))).toEqual([notUtf8])
  })

  it("fails at the end of a message that is cut inside a character", () => {
    expect(reading().read("01 01 c3  80 00")).toEqual([notUtf8])
    expect(reading().read("01 01 c3  80 01 a9")).toEqual([["text", "é"]])
    expect(reading().read("81 02 61", "c3")).toEqual([notUtf8])
  })
})
