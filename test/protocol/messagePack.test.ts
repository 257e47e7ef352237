import { FastCheck as fc } from "effect"
import * as msgpackr from "msgpackr"
import { assert, describe, it } from "vitest"
import { fault } from "../../src/protocol/messagePack.js"

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

describe("bytes as one value of MessagePack", () => {
  it("are right wherever they were packed", () => {
    const values = fc.anything({ withDate: true, withTypedArray: false, withBigInt: false, withSet: false })
    fc.assert(
      fc.property(values, (value) => {
        assert.isUndefined(fault(msgpackr.pack(value)))
      })
    )
  })

  it("are right with each form that there is", () => {
    const forms: ReadonlyArray<readonly [name: string, value: Uint8Array]> = [
      ["fixint", bytes(0x7f)],
      ["negative fixint", bytes(0xe0)],
      ["fixmap", bytes(0x81, 0xa1, 0x61, 0x01)],
      ["fixarray", bytes(0x92, 0x01, 0x02)],
      ["fixstr", bytes(0xa2, 0x61, 0x62)],
      ["nil", bytes(0xc0)],
      ["false", bytes(0xc2)],
      ["true", bytes(0xc3)],
      ["bin 8", bytes(0xc4, 1, 0)],
      ["bin 16", bytes(0xc5, 0, 1, 0)],
      ["bin 32", bytes(0xc6, 0, 0, 0, 1, 0)],
      ["ext 8, a timestamp", bytes(0xc7, 12, 0xff, ...new Array(12).fill(0))],
      ["float 32", bytes(0xca, 0, 0, 0, 0)],
      ["float 64", bytes(0xcb, 0, 0, 0, 0, 0, 0, 0, 0)],
      ["uint 8", bytes(0xcc, 0)],
      ["uint 16", bytes(0xcd, 0, 0)],
      ["uint 32", bytes(0xce, 0, 0, 0, 0)],
      ["uint 64", bytes(0xcf, 0, 0, 0, 0, 0, 0, 0, 0)],
      ["int 8", bytes(0xd0, 0)],
      ["int 16", bytes(0xd1, 0, 0)],
      ["int 32", bytes(0xd2, 0, 0, 0, 0)],
      ["int 64", bytes(0xd3, 0, 0, 0, 0, 0, 0, 0, 0)],
      ["undefined", bytes(0xd4, 0, 0)],
      ["timestamp 32", bytes(0xd6, 0xff, 0, 0, 0, 0)],
      ["timestamp 64", bytes(0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)],
      ["str 8", bytes(0xd9, 1, 0x61)],
      ["str 16", bytes(0xda, 0, 1, 0x61)],
      ["str 32", bytes(0xdb, 0, 0, 0, 1, 0x61)],
      ["array 16", bytes(0xdc, 0, 1, 0)],
      ["array 32", bytes(0xdd, 0, 0, 0, 1, 0)],
      ["map 16", bytes(0xde, 0, 1, 0, 0)],
      ["map 32", bytes(0xdf, 0, 0, 0, 1, 0, 0)]
    ]
    for (const [name, value] of forms) {
      assert.isUndefined(fault(value), name)
      // One byte less, or more, is something else.
      assert.strictEqual(fault(value.subarray(0, -1)), "it ends inside a value", name)
      assert.strictEqual(fault(bytes(...value, 0)), "there is more behind the value", name)
    }
  })

  it.each([
    ["nothing", bytes()],
    ["an array of 33,554,431", bytes(0xdd, 0x01, 0xff, 0xff, 0xff)],
    ["a map of 4,294,967,295", bytes(0xdf, 0xff, 0xff, 0xff, 0xff)],
    ["arrays that have together more than there is", bytes(0x93, 0x92, 1, 2, 0x92, 1, 2)],
    ["two gigabytes", bytes(0xc6, 0x7f, 0xff, 0xff, 0xff)]
  ])("ask for more than they hold: %s", (_, value) => {
    assert.strictEqual(fault(value), "it ends inside a value")
  })

  it.each([
    ["of a record, in one byte", bytes(0xd4, 0x72, 0x40)],
    ["of a record, in many", bytes(0xc7, 1, 0x72, 0x40)],
    ["of 16 bytes", bytes(0xd8, 1, ...new Array(16).fill(0))],
    ["deep inside", bytes(0x91, 0x81, 0xa1, 0x61, 0xd4, 0x72, 0x40)]
  ])("have an extension %s", (_, value) => {
    assert.strictEqual(fault(value), "it has an extension")
  })

  it("have a byte that means nothing", () => {
    assert.strictEqual(fault(bytes(0xc1)), "it has a byte that means nothing")
  })

  it("are looked through however deep they are nested", () => {
    const deep = new Uint8Array(1_000_000).fill(0x91)
    assert.strictEqual(fault(deep), "it ends inside a value")
    deep[deep.length - 1] = 0
    assert.isUndefined(fault(deep))
  })

  it("never make it throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (value) => {
        fault(value)
      }),
      { numRuns: 2_000 }
    )
  })
})
