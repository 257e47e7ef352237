import * as nodeBuffer from "node:buffer"
import * as nodeCrypto from "node:crypto"
import { describe, expect, it } from "vitest"
import { counting, filled, loadNative, loadPortable, loadWhere } from "./helpers.js"

const load = () => import("../../src/protocol/native.js")

const { prototype } = nodeBuffer.Buffer as unknown as { prototype: Record<string, unknown> }

/** Node's modules with a part of `node:buffer` replaced, as a runtime that has most of it might. */
const loadWith = (change: Record<string, unknown>) =>
  loadWhere(load, {
    builtin: (name) => (name === "node:buffer" ? { ...nodeBuffer, ...change } : undefined)
  })

const withoutMethod = (name: string) => ({
  Buffer: { allocUnsafeSlow: nodeBuffer.Buffer.allocUnsafeSlow, prototype: { ...methods, [name]: undefined } }
})

const methods = Object.fromEntries(
  ["latin1Slice", "utf8Slice", "ucs2Slice", "utf8Write"].map((name) => [name, prototype[name]])
)

const memoryOf = (bytes: Uint8Array) => bytes.buffer.byteLength

describe("native", () => {
  it("finds Node's buffers and crypto", async () => {
    const { buffers, crypto } = await loadNative(load)
    expect(buffers?.isUtf8).toBe(nodeBuffer.isUtf8)
    expect(crypto?.createHash).toBe(nodeCrypto.createHash)
  })

  it("finds buffers that have just what is used of them", async () => {
    const { buffers } = await loadWith(withoutMethod("other"))
    expect(buffers?.Buffer.prototype).toEqual({ ...methods, other: undefined })
  })

  it.each([
    ["isAscii", { isAscii: undefined }],
    ["isUtf8", { isUtf8: undefined }],
    ["transcode", { transcode: undefined }],
    ["Buffer", { Buffer: undefined }],
    ["a prototype", { Buffer: {} }],
    ["latin1Slice", withoutMethod("latin1Slice")],
    ["utf8Slice", withoutMethod("utf8Slice")],
    ["ucs2Slice", withoutMethod("ucs2Slice")],
    ["utf8Write", withoutMethod("utf8Write")]
  ])("does without Node's buffers where they lack %s", async (_, change) => {
    expect((await loadWith(change)).buffers).toBeUndefined()
  })

  it("loads where there is no such module", async () => {
    const { buffers, crypto } = await loadPortable(load)
    expect([buffers, crypto]).toEqual([undefined, undefined])
  })

  it("loads where process cannot look modules up, or is not there", async () => {
    for (const process of [{}, undefined]) {
      const { buffers, crypto } = await loadWhere(load, { globals: { process } })
      expect([buffers, crypto]).toEqual([undefined, undefined])
    }
  })
})

describe.each([
  ["with Node's buffers", () => loadNative(load)],
  ["without", () => loadPortable(load)]
])("native memory, %s", async (_, native) => {
  const { allocate, allocateArena, copyOf } = await native()

  it.each([0, 1, 4095, 4096, 100_000])("allocates exactly %i bytes that nothing else lies in", (size) => {
    const bytes = allocate(size)
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    expect([bytes.length, bytes.byteOffset, memoryOf(bytes)]).toEqual([size, 0, size])
  })

  it("allocates an arena of which every view is bytes again", () => {
    const arena = allocateArena(100)
    arena.fill(7)
    const view = arena.subarray(10, 20)
    expect([arena.length, memoryOf(arena), view.length, view.byteOffset]).toEqual([100, 100, 10, 10])
    expect(Uint8Array.from(view)).toEqual(filled(10, 7))
  })

  it.each([
    [0, 0],
    [3, 10],
    [1, 5001]
  ])("copies bytes %i to %i into memory of their own", (start, end) => {
    const bytes = counting(6000)
    const copy = copyOf(bytes, start, end)
    bytes.fill(0)
    expect(copy).toEqual(counting(6000).slice(start, end))
    expect(memoryOf(copy)).toBe(end - start)
  })
})
