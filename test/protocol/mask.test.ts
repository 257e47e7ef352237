import { FastCheck as fc } from "effect"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { key as keys } from "./arbitraries.js"
import { counting, filled, hex, loadWhere, unhex } from "./helpers.js"

/** RFC 6455 §5.3 to the letter. */
const naive = (bytes: Uint8Array, start: number, end: number, key: number, offset: number): void => {
  for (let i = start; i < end; i++) {
    bytes[i] = bytes[i]! ^ ((key >>> (24 - 8 * ((i - start + offset) % 4))) & 0xff)
  }
}

/** Words as a machine sees them that puts the highest byte first. */
function BigEndianWords(source: ArrayBuffer | ReadonlyArray<number> | number, offset = 0, length = 0) {
  if (!(source instanceof ArrayBuffer)) {
    const values = typeof source === "number" ? [] : source
    const view = new DataView(new ArrayBuffer(4 * values.length))
    values.forEach((value, i) => {
      view.setInt32(4 * i, value)
    })
    return { buffer: view.buffer }
  }
  const view = new DataView(source, offset, 4 * length)
  return new Proxy(
    {},
    {
      get: (_, at) => view.getInt32(4 * Number(at)),
      set: (_, at, value: number) => {
        view.setInt32(4 * Number(at), value)
        return true
      }
    }
  )
}

const refusing = {
  Module: function Module() {
    throw new WebAssembly.CompileError("Wasm code generation disallowed by embedder")
  }
}

const machines: ReadonlyArray<[name: string, globals: Record<string, unknown>]> = [
  // Given anew, as this run may hide it.
  ["with vectors", { WebAssembly }],
  ["without WebAssembly", { WebAssembly: undefined }],
  ["where compiling is forbidden", { WebAssembly: refusing }],
  ["with the highest byte first", { Int32Array: BigEndianWords }]
]

describe.each(machines)("mask, %s", async (name, globals) => {
  const [mask, { sharedMemory }] = await loadWhere(
    () => Promise.all([import("../../src/protocol/mask.js"), import("../../src/protocol/vectors.js")]),
    { globals }
  )

  beforeAll(() => {
    for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value)
  })
  afterAll(() => {
    vi.unstubAllGlobals()
  })

  const check = (target: Uint8Array, start: number, end: number, key: number, offset: number) => {
    target.set(counting(target.length))
    const expected = counting(target.length)
    naive(expected, start, end, key, offset)
    mask.xor(target, start, end, key, offset)
    // Compared as a whole: nothing before or behind the range changes.
    expect(Buffer.compare(target, expected), `${start} to ${end}, ${offset} before`).toBe(0)
  }

  it("is that of the example in RFC 6455 §5.7", () => {
    const bytes = unhex("48656c6c6f")
    mask.xor(bytes, 0, 5, 0x37fa213d, 0)
    expect(hex(bytes)).toBe("7f9f4d5158")
  })

  it("turns the key by what went before of the same payload", () => {
    const bytes = unhex("00000000 00")
    mask.xor(bytes, 0, 5, 0x01020304, 7)
    expect(hex(bytes)).toBe("0401020304")
  })

  it("XORs as the RFC says at every start, length and turn of the key", () => {
    const memory = new Uint8Array(200)
    for (let start = 0; start < 5; start++) {
      for (let length = 0; length < 150; length++) check(memory, start, start + length, 0xfe010280, length & 3)
    }
  })

  it("does so in a view that does not begin on a word", () => {
    for (let shift = 0; shift < 5; shift++)
      check(new Uint8Array(new ArrayBuffer(300), shift, 200), 3, 190, 0x89abcdef, 2)
  })

  it.each([4095, 4096, 4097, 65535, 65536, 65537, 65551, 131_072, 200_001])("does so for %i bytes", (length) => {
    check(new Uint8Array(length + 8), 5, length + 5, 0x0badcafe, 1)
  })

  it("does so in the memory that is shared", () => {
    expect(sharedMemory).toHaveLength(65536)
    const shared = sharedMemory
    for (const [start, end] of [
      [0, 65536],
      [1, 65535],
      [3, 100],
      [65000, 65536],
      [17, 40]
    ] as const) {
      check(shared, start, end, 0x80000001, start)
    }
    check(shared.subarray(7, 3000), 2, 2900, 0x80000001, 3)
  })

  it("does so for any range and key", () => {
    const range = fc.tuple(fc.nat(400), fc.nat(400)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
    fc.assert(
      fc.property(range, keys, fc.nat(), fc.nat(7), fc.boolean(), ([start, end], key, offset, shift, shared) => {
        const memory = shared ? sharedMemory : new Uint8Array(420)
        check(memory.subarray(shift, shift + 400), start, end, key, offset)
      })
    )
  })

  it("is undone by itself, in pieces of any size", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), keys, fc.nat(300), (payload, key, cut) => {
        const bytes = payload.slice()
        const middle = Math.min(cut, bytes.length)
        mask.xor(bytes, 0, bytes.length, key, 0)
        mask.xor(bytes, 0, middle, key, 0)
        mask.xor(bytes, middle, bytes.length, key, middle)
        expect(bytes).toEqual(payload)
      })
    )
  })

  it("keeps what is in the shared memory while payloads elsewhere are masked, by vectors in a page behind it", () => {
    sharedMemory.set(counting(65536))
    mask.xor(filled(100_000), 0, 100_000, 0x12345678, 0)
    expect(Buffer.compare(sharedMemory, counting(65536))).toBe(0)
    expect(sharedMemory.buffer.byteLength).toBe(name === "with vectors" ? 131_072 : 65_536)
  })
})
