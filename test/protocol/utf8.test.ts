import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { sizes, unicode } from "./arbitraries.js"
import {
  chop,
  counting,
  utf8 as encoded,
  filled,
  hex,
  join,
  loadNative,
  loadPortable,
  unhex,
  wellFormed
} from "./helpers.js"

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const reference = (bytes: Uint8Array): string | undefined => {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes that are nearly UTF-8: good text with some bytes changed, or bytes as they come. */
const nearly = fc.oneof(
  fc
    .tuple(unicode, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0x7f, max: 0xff })), { maxLength: 2 }))
    .map(([text, changes]) => {
      const bytes = encoded(text)
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value
      return bytes
    }),
  fc.uint8Array({ maxLength: 8 })
)

const valid = [
  ["of each length", "00 c280 e0a080 f0908080"],
  ["last of each length", "7f dfbf efbfbf f48fbfbf"],
  ["around the surrogates", "ed9fbf ee8080"],
  ["a byte order mark", "efbbbf 61"],
  ["specials and non-characters", "efbfb9 efbfbd efbfbe efbfbf f09fbfbe f48fbfbf"],
  ["Greek", "cebae1bdb9cf83cebcceb5"],
  ["after E1, EC, EE, F1 and F3", "e18080 ecbfbf ee8080 f1808080 f3bfbfbf"],
  ["at the edges of E0, ED, F0 and F4", "e0bfbf ed8080 f0bfbfbf f4808080"]
] as const

/** Up to where it could still become UTF-8, and the byte at which it cannot. */
const invalid = [
  ["a stray continuation", "", "80"],
  ["a stray continuation, the last one", "", "bf"],
  ["an overlong form of two bytes", "", "c0"],
  ["an overlong form of two bytes, the last one", "", "c1"],
  ["an overlong form of three bytes", "e0", "9f"],
  ["an overlong form of four bytes", "f0", "8f"],
  ["a high surrogate", "ed", "a0"],
  ["a low surrogate", "ed", "bf"],
  ["U+110000", "f4", "90"],
  ["F5", "", "f5"],
  ["a form of five bytes", "", "f8"],
  ["a form of six bytes", "", "fc"],
  ["FE", "", "fe"],
  ["FF", "", "ff"],
  ["a lead in place of a continuation", "c3", "c3"],
  ["ASCII in place of a continuation", "e2", "7f"],
  ["ASCII after E0", "e0", "20"],
  ["FF in place of a continuation", "e282", "c0"],
  ["ASCII in place of the last of four", "f09f98", "00"],
  ["a lead in place of the third of four", "f09f", "f0"]
] as const

describe.each([
  ["with Node's buffers", loadNative, false],
  ["with vectors, in the memory that they reach", loadNative, true],
  ["without", loadPortable, false]
] as const)("utf8, %s", async (_, loadThere, isShared) => {
  const [utf8, { sharedMemory }] = await loadThere(() =>
    Promise.all([import("../../src/protocol/utf8.js"), import("../../src/protocol/vectors.js")])
  )

  /** Decodes them where they lie, or in the shared memory: the same among ASCII and among bytes that are no UTF-8. */
  const decode = (bytes: Uint8Array, start: number, end: number): string | undefined => {
    if (!isShared) return utf8.decode(bytes, start, end)
    const [text, same] = [0x2a, 0xff].map((around) => {
      const place = sharedMemory.fill(around, 0, bytes.length + 40).subarray(17, 17 + bytes.length)
      place.set(bytes)
      return utf8.decode(place, start, end)
    })
    expect(same).toBe(text)
    return text
  }

  /** The state behind each of the pieces. */
  const states = (...pieces: ReadonlyArray<Uint8Array>) => {
    let state = utf8.Complete
    return pieces.map((piece) => {
      state = utf8.advance(state, piece, 0, piece.length)
      return state
    })
  }

  describe("advance", () => {
    it.each(valid)("takes characters %s, alone, byte by byte and in long texts", (_, text) => {
      const bytes = unhex(text)
      expect(states(bytes)).toEqual([utf8.Complete])
      expect(states(...chop(bytes, [1])).at(-1)).toBe(utf8.Complete)
      for (const before of [61, 62, 63, 64, 200]) {
        expect(states(join(filled(before), bytes))).toEqual([utf8.Complete])
        expect(states(join(bytes, filled(before)))).toEqual([utf8.Complete])
      }
    })

    it.each(invalid)("fails at the first bad byte of %s, in short and in long texts", (_, start, bad) => {
      for (const before of [0, 1, 61, 62, 63, 64, 200]) {
        const [good, after] = states(join(filled(before), unhex(start)), unhex(bad))
        expect(good).not.toBe(utf8.Invalid)
        expect(after).toBe(utf8.Invalid)
        expect(states(join(filled(before), unhex(start + bad)))).toEqual([utf8.Invalid])
        expect(states(join(filled(before), unhex(start + bad), filled(80)))).toEqual([utf8.Invalid])
      }
    })

    it("stays invalid", () => {
      expect(states(unhex("ff"), unhex("61"), filled(100), unhex(""))).toEqual(Array(4).fill(utf8.Invalid))
    })

    it("waits at the end of every piece of a character, also behind much text", () => {
      for (const character of ["c3a9", "e282ac", "e0a080", "ed9fbf", "f09f9880", "f0908080", "f48fbfbf"]) {
        const bytes = unhex(character)
        for (let cut = 1; cut < bytes.length; cut++) {
          for (const length of [0, 63, 64, 100]) {
            const [waiting, whole] = states(join(filled(length), bytes.subarray(0, cut)), bytes.subarray(cut))
            expect(waiting).toBeGreaterThan(utf8.Complete)
            expect(whole).toBe(utf8.Complete)
            expect(
              states(join(filled(length), bytes.subarray(0, cut)), join(bytes.subarray(cut), filled(length)))[1]
            ).toBe(utf8.Complete)
          }
        }
      }
    })

    it("looks at no byte outside of its range", () => {
      const bytes = join(unhex("ff"), filled(70), unhex("ff"))
      expect(utf8.advance(utf8.Complete, bytes, 1, 71)).toBe(utf8.Complete)
      expect(utf8.advance(utf8.Complete, bytes, 5, 5)).toBe(utf8.Complete)
      expect(utf8.advance(utf8.Complete, bytes, 1, 72)).toBe(utf8.Invalid)
    })

    it("says the same as TextDecoder of bytes in pieces of any size", () => {
      fc.assert(
        fc.property(nearly, sizes, (bytes, cuts) => {
          const end = states(new Uint8Array(0), ...chop(bytes, cuts)).at(-1)
          expect(end === utf8.Complete).toBe(reference(bytes) !== undefined)
        })
      )
    })

    it("fails no later than TextDecoder in its streaming mode", () => {
      fc.assert(
        fc.property(nearly, (bytes) => {
          const streaming = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
          const failsAt = chop(bytes, [1]).findIndex((byte) => {
            try {
              streaming.decode(byte, { stream: true })
              return false
            } catch {
              return true
            }
          })
          expect(states(...chop(bytes, [1])).indexOf(utf8.Invalid)).toBe(failsAt)
        })
      )
    })
  })

  describe("incompleteTail", () => {
    it.each([
      ["", 0],
      ["61", 0],
      ["c3a9", 0],
      ["61c3", 1],
      ["61e282", 2],
      ["e2", 1],
      ["61f09f98", 3],
      ["f09f", 2],
      ["f09f9880", 0],
      ["e282ac", 0],
      ["c3a961", 0]
    ])("of %j is %i bytes", (text, expected) => {
      const bytes = unhex(text)
      expect(utf8.incompleteTail(bytes, 0, bytes.length)).toBe(expected)
    })

    it("looks at no byte outside of its range", () => {
      expect(utf8.incompleteTail(unhex("e28261"), 0, 2)).toBe(2)
      expect(utf8.incompleteTail(unhex("e282"), 1, 1)).toBe(0)
      expect(utf8.incompleteTail(unhex("c36161"), 1, 3)).toBe(0)
    })
  })

  describe("decode", () => {
    // Below 16, 128, up to 512, 4096 and above are paths of their own.
    const lengths = [0, 1, 15, 16, 17, 32, 45, 100, 127, 128, 129, 300, 511, 512, 513, 600, 4095, 4096, 4097, 5000]

    it.each(valid)("reads characters %s in texts of every length", (_, text) => {
      for (const length of lengths) {
        const bytes = join(filled(length), unhex(text))
        expect(decode(bytes, 0, bytes.length)).toBe(strict.decode(bytes))
        expect(decode(bytes, length, bytes.length)).toBe(strict.decode(unhex(text)))
      }
    })

    it.each(invalid)("refuses %s in texts of every length", (_, start, bad) => {
      for (const length of lengths) {
        const bytes = join(filled(length), unhex(start + bad), filled(3))
        expect(decode(bytes, 0, bytes.length)).toBeUndefined()
        expect(decode(bytes, 0, length)).toBe("*".repeat(length))
        expect(decode(bytes, length, bytes.length - 3)).toBeUndefined()
      }
    })

    it("refuses a text that ends inside a character", () => {
      for (const length of lengths) {
        const bytes = join(filled(length), unhex("e282ac"))
        expect(decode(bytes, 0, length + 1)).toBeUndefined()
        expect(decode(bytes, 0, length + 2)).toBeUndefined()
        expect(decode(bytes, 0, length + 3)).toBe(`${"*".repeat(length)}€`)
      }
    })

    it("reads every ASCII character", () => {
      const bytes = counting(3000).map((byte) => byte & 0x7f)
      for (const length of lengths) {
        expect(decode(bytes, 0, Math.min(length, 3000))).toBe(strict.decode(bytes.subarray(0, length)))
      }
    })

    it("looks at no byte outside of its range", () => {
      for (const length of lengths) {
        const bytes = join(unhex("ff"), filled(length), unhex("ff"))
        expect(decode(bytes, 1, length + 1)).toBe("*".repeat(length))
        expect(decode(bytes, 0, length + 1)).toBeUndefined()
        expect(decode(bytes, 1, length + 2)).toBeUndefined()
      }
    })

    it("says the same as TextDecoder of any bytes", () => {
      fc.assert(
        fc.property(nearly, fc.nat(700), (bytes, before) => {
          const long = join(filled(before), bytes)
          expect(decode(long, before, long.length)).toBe(reference(bytes))
          expect(decode(long, 0, long.length)).toBe(reference(long))
        })
      )
    })
  })

  describe("write and encode", () => {
    it.each([
      "",
      "a",
      "12345678",
      "123456789",
      "1234567é",
      "\x7f\x80",
      "é",
      "€uro and more",
      "😀",
      "a\ud800b",
      "\udc00".repeat(10)
    ])("write %j at an offset and say its length", (text) => {
      const expected = encoded(text)
      const target = filled(3 * text.length + 10, 0xaa)
      expect(utf8.write(target, text, 5)).toBe(expected.length)
      expect(hex(target)).toBe(`aaaaaaaaaa${hex(expected)}`.padEnd(2 * target.length, "a"))
      expect(utf8.encode(text)).toEqual(expected)
    })

    it("write what decode reads", () => {
      fc.assert(
        fc.property(unicode, (text) => {
          const target = new Uint8Array(3 * text.length)
          const length = utf8.write(target, text, 0)
          expect(utf8.decode(target, 0, length)).toBe(wellFormed(text))
        })
      )
    })
  })
})
