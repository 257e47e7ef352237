import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { Assembly } from "../../src/protocol/assembly.js"
import { sizes, unicode } from "./arbitraries.js"
import { capacityOf, chop, counting, filled, hex, loadPortable, unhex, utf8, wellFormed } from "./helpers.js"

const MIB = 1_048_576

/** Gives frames to an assembly, the last one as the final one; says whether all of them were taken. */
const feed = (assembly: Assembly, ...frames: ReadonlyArray<Uint8Array>): boolean =>
  frames
    .map((frame, i) => {
      assembly.expect(frame.length, i === frames.length - 1)
      return assembly.append(frame, 0, frame.length)
    })
    .every((taken) => taken)

const binary = () => new Assembly(false, 0, false)
const text = () => new Assembly(true, 0, false)
const bytesOf = (assembly: Assembly) => (assembly.isText ? assembly.view : (assembly.take() as Uint8Array))

describe("Assembly", () => {
  it("puts a binary message together, and counts it", () => {
    const assembly = binary()
    expect(feed(assembly, unhex("0102"), unhex(""), unhex("03"))).toBe(true)
    expect([assembly.size, assembly.isWhole(), assembly.take()]).toEqual([3, true, unhex("010203")])
  })

  it("puts a text together", () => {
    const assembly = text()
    expect(feed(assembly, unhex("61e2"), unhex("82"))).toBe(true)
    expect(assembly.isWhole()).toBe(false)
    expect(feed(assembly, unhex("ac62"))).toBe(true)
    expect([assembly.isWhole(), assembly.take()]).toEqual([true, "a€b"])
  })

  it.each([
    [binary, unhex("")],
    [text, ""]
  ])("is empty before anything came", (make, nothing) => {
    expect([make().size, make().isWhole(), make().take(), make().takePiece()]).toEqual([0, true, nothing, nothing])
  })

  it("takes only the range that it is given", () => {
    const assembly = text()
    assembly.expect(4, true)
    expect(assembly.append(unhex("ff6162ff"), 1, 3)).toBe(true)
    expect(assembly.append(unhex("6364ff"), 0, 2)).toBe(true)
    expect(assembly.take()).toBe("abcd")
  })

  it("does not refer to the memory of chunks", () => {
    const assembly = binary()
    const chunk = counting(100)
    feed(assembly, chunk)
    chunk.fill(0)
    expect(assembly.take()).toEqual(counting(100))
  })

  it("refuses a text at its first bad byte, across frames too", () => {
    expect(feed(text(), unhex("61ff"))).toBe(false)
    const assembly = text()
    expect(feed(assembly, unhex("61f4"))).toBe(true)
    expect(feed(assembly, unhex("90"))).toBe(false)
  })

  it("validates neither binary content nor what an extension has encoded", () => {
    const encoded = new Assembly(true, 4, false)
    for (const assembly of [binary(), encoded]) {
      expect(feed(assembly, unhex("ff"), unhex("e2"))).toBe(true)
      expect(assembly.isWhole()).toBe(true)
      expect(hex(bytesOf(assembly))).toBe("ffe2")
    }
  })

  it("sets aside exactly what is announced, up to 1 MiB", () => {
    for (const size of [1, 5000, MIB]) {
      const assembly = binary()
      assembly.expect(size, true)
      assembly.append(filled(size), 0, size)
      expect(bytesOf(assembly).buffer.byteLength).toBe(size)
    }
  })

  it("sets aside no more than 1 MiB for a header that announces more", () => {
    const assembly = binary()
    assembly.expect(2 ** 40, true)
    expect(assembly.size).toBe(2 ** 40)
    assembly.append(filled(MIB), 0, MIB)
    expect(bytesOf(assembly).buffer.byteLength).toBe(MIB)
  })

  it("grows beyond 1 MiB with what really arrives, by doubling", () => {
    const assembly = binary()
    const content = counting(MIB + 70_000)
    assembly.expect(content.length, true)
    for (const piece of chop(content, [65536])) assembly.append(piece, 0, piece.length)
    const bytes = bytesOf(assembly)
    expect(Buffer.compare(bytes, content)).toBe(0)
    expect(capacityOf(assembly)).toBe(2 * MIB)
  })

  it("doubles its memory for fragments, so that many of them cost no more than one", () => {
    const assembly = binary()
    const capacities = new Set<number>()
    for (let i = 0; i < 1000; i++) {
      assembly.expect(1, false)
      assembly.append(unhex("2a"), 0, 1)
      capacities.add(capacityOf(assembly))
    }
    expect(bytesOf(assembly)).toEqual(filled(1000))
    expect(capacities.size).toBeLessThan(25)
  })

  it("makes exact room for a last fragment", () => {
    const assembly = binary()
    feed(assembly, filled(1000), filled(10))
    expect(bytesOf(assembly).buffer.byteLength).toBe(1010)
  })

  it("hands out memory that holds nothing else, since the rest is not cleared", () => {
    const assembly = binary()
    assembly.expect(5000, false)
    assembly.append(filled(2501), 0, 2501)
    expect(bytesOf(assembly)).toEqual(filled(2501))
    expect(bytesOf(assembly).buffer.byteLength).toBe(2501)
  })

  describe("in pieces", () => {
    it("gives what has come since the last piece", () => {
      const assembly = binary()
      feed(assembly, unhex("0102"))
      expect(assembly.takePiece()).toEqual(unhex("0102"))
      expect(assembly.takePiece()).toEqual(unhex(""))
      feed(assembly, unhex("03"))
      expect(assembly.takePiece()).toEqual(unhex("03"))
      expect(assembly.size).toBe(3)
    })

    it("keeps the bytes of a cut character for the next piece", () => {
      const assembly = text()
      feed(assembly, unhex("61f09f98"))
      expect(assembly.takePiece()).toBe("a")
      feed(assembly, unhex("8062"))
      expect(assembly.takePiece()).toBe("😀b")
    })

    it("gives pieces that later ones do not overwrite", () => {
      const assembly = binary()
      assembly.expect(4, true)
      assembly.append(unhex("0102"), 0, 2)
      const piece = assembly.takePiece()
      assembly.append(unhex("0304"), 0, 2)
      expect(piece).toEqual(unhex("0102"))
    })

    it("gives all of a text, and no character in halves", () => {
      fc.assert(
        fc.property(unicode, sizes, (content, cuts) => {
          const assembly = text()
          const pieces = chop(utf8(content), cuts).map((bytes) => {
            expect(feed(assembly, bytes)).toBe(true)
            return assembly.takePiece()
          })
          expect(pieces.join("")).toBe(wellFormed(content))
          expect(pieces.join("")).not.toMatch(/\ufffd/.test(wellFormed(content)) ? /(?!)/ : /\ufffd/)
        })
      )
    })
  })

  describe("whose content nobody wants any more", () => {
    const dropped = (isText: boolean) => new Assembly(isText, 0, true)
    const dropping = (isText: boolean) => {
      const assembly = new Assembly(isText, 0, false)
      feed(assembly, unhex("6162"))
      assembly.drop()
      return assembly
    }

    it.each([
      ["from the start", dropped, 0],
      ["from its middle on", dropping, 2]
    ] as const)("keeps nothing %s, but counts and validates", (_, make, before) => {
      const assembly = make(true)
      expect(feed(assembly, unhex("61e2"), filled(0))).toBe(true)
      expect([assembly.size, assembly.isWhole()]).toEqual([before + 2, false])
      expect(bytesOf(assembly).buffer.byteLength).toBe(0)
      expect(feed(assembly, unhex("ff"))).toBe(false)
      expect(feed(make(false), unhex("ff"))).toBe(true)
    })
  })

  it("sets nothing aside for what is announced but not wanted", () => {
    const announced = (dropped: boolean) => {
      const assembly = new Assembly(false, 0, dropped)
      assembly.expect(100_000, true)
      return capacityOf(assembly)
    }
    expect(announced(false)).toBe(100_000)
    expect(announced(true)).toBe(0)
  })

  it("is the same without Node's buffers", async () => {
    const portable = await loadPortable(() => import("../../src/protocol/assembly.js"))
    const assembly = new portable.Assembly(true, 0, false)
    const content = "héllo €".repeat(1000)
    expect(feed(assembly, ...chop(utf8(content), [999]))).toBe(true)
    expect(assembly.take()).toBe(content)
  })
})
