import { Buffer } from "node:buffer"
import { constants, deflateRawSync } from "node:zlib"
import { assert, describe, it } from "vitest"
import { Random } from "../fuzz/random.js"
import { dataSets } from "./dataSets.js"
import { InflateError, inflate } from "./inflate.js"

/** The harness's own reader of DEFLATE: right where zlib is, and exact where zlib is lenient. */

const nothing = new Uint8Array(0)
const whole = 2 ** 15
const hex = (octets: string): Uint8Array => Buffer.from(octets.replaceAll(" ", ""), "hex")

describe("inflate", () => {
  const { json, pdf } = dataSets
  const inputs = {
    nothing,
    "one octet": Buffer.from("a"),
    text: json.bytes.subarray(0, 70_000),
    "half compressed": pdf.bytes.subarray(0, 150_000),
    noise: new Random(7).bytes(70_000),
    "a single octet, often": Buffer.alloc(100_000, 1)
  }
  const strategies = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE]

  it.each(Object.entries(inputs))("reads %s, however zlib wrote it", (_, input) => {
    for (const strategy of strategies) {
      for (const level of [0, 1, 6, 9]) {
        for (const finishFlush of [constants.Z_SYNC_FLUSH, constants.Z_FINISH]) {
          const written = deflateRawSync(input, { level, strategy, finishFlush })
          assert.strictEqual(Buffer.compare(inflate(written, nothing, whole), input), 0)
        }
      }
    }
  })

  // RFC 7692 §7.2.3, with the tail that is added before decompressing
  it.each([
    ["one block", "f248cdc9c907000000ffff", "Hello"],
    ["a block without compression", "000500faff48656c6c6f000000ffff", "Hello"],
    ["a final block", "f348cdc9c90700000000ffff", "Hello"],
    ["two blocks", "f248050000 00ffff cac9c90700 0000ffff", "Hello"]
  ])("reads the RFC's example of %s", (_, octets, text) => {
    assert.strictEqual(Buffer.from(inflate(hex(octets), nothing, whole)).toString(), text)
  })

  it.each([20, 256, 512, 4_096, 32_000])("reaches %i octets back, and not one more than it may", (distance) => {
    const found = Buffer.from("found again")
    // Nothing else in it is worth a reference.
    const history = Buffer.concat([found, new Random(distance).bytes(distance - found.length)])
    // zlib never refers to the first octet of a dictionary.
    const dictionary = Buffer.concat([Buffer.of(0), history])
    const written = deflateRawSync(found, { dictionary, finishFlush: constants.Z_SYNC_FLUSH })
    assert.deepStrictEqual(Buffer.from(inflate(written, history, distance)), found)
    assert.throws(() => inflate(written, history, distance - 1), `a distance of ${distance}`)
    assert.throws(() => inflate(written, history.subarray(1), whole), "before the beginning")
  })

  it.each([
    ["a block of no type", "07"],
    ["a stored block of two lengths", "000500faf048656c6c6f"],
    ["data that ends inside a block", "f248cdc9"],
    ["codes that are too many", "05c0810000000000ff"]
  ])("refuses %s", (_, octets) => {
    assert.throws(() => inflate(hex(octets), nothing, whole), InflateError)
  })

  it("throws nothing but its own errors, whatever the octets", () => {
    const random = new Random(11)
    for (let i = 0; i < 3_000; i++) {
      try {
        inflate(random.bytes(1 + random.below(60)), nothing, whole)
      } catch (error) {
        assert.instanceOf(error, InflateError)
      }
    }
  })
})
