import { Buffer } from "node:buffer"
import { assert, describe, it } from "vitest"
import { Deflate } from "./Deflate.js"
import { dataSets } from "./dataSets.js"
import type { Side } from "./extensions.js"
import { Misconduct } from "./wire.js"

/** The harness keeps to what was agreed on, and notices who does not. */

const plain: Side = { noContextTakeover: false, windowBits: 15 }
const fresh: Side = { ...plain, noContextTakeover: true }
const narrow = (windowBits: number): Side => ({ ...plain, windowBits })

const messages = [0, 1, 2, 3].map((n) => dataSets.json.message(n, 3_000))

/** What a side that does this sends is read by one that was told that. */
const exchange = (does: Side, said: Side): void => {
  const sender = new Deflate({ own: does, peer: plain })
  const receiver = new Deflate({ own: plain, peer: said })
  for (const message of messages) {
    assert.strictEqual(Buffer.compare(receiver.decompress(sender.compress(message)), message), 0)
  }
}

const sides: ReadonlyArray<readonly [name: string, side: Side]> = [
  ["everything", plain],
  ["no context", fresh],
  ...[8, 9, 10, 14].map((bits) => [`a window of ${bits} bits`, narrow(bits)] as const),
  ["neither", { noContextTakeover: true, windowBits: 9 }]
]

describe("deflate", () => {
  it.each(sides)("with %s is read by who was told so", (_, side) => exchange(side, side))

  it("takes its context over, unless it must not", () => {
    const lengths = (own: Side): ReadonlyArray<number> => {
      const sender = new Deflate({ own, peer: plain })
      return [0, 1].map(() => sender.compress(messages[0]!).length)
    }
    const [first = 0, second = 0] = lengths(plain)
    assert.isBelow(second, first / 10)
    assert.deepStrictEqual(lengths(fresh), [first, first])
  })

  it("notices a context that was not to be taken over", () => {
    assert.throws(() => exchange(plain, fresh), Misconduct)
    assert.throws(() => exchange(narrow(9), { ...fresh, windowBits: 9 }), Misconduct)
  })

  it.each([8, 9, 10])("notices who reaches beyond a window of %i bits", (bits) => {
    assert.throws(() => exchange(narrow(bits + 2), narrow(bits)), `beyond the window of ${2 ** bits}`)
  })

  it.each([9, 15])("notices data that end too early, with a window of %i bits", (bits) => {
    const data = new Deflate({ own: narrow(bits), peer: plain }).compress(messages[0]!)
    const receiver = new Deflate({ own: plain, peer: narrow(bits) })
    assert.throws(() => receiver.decompress(data.subarray(0, data.length >> 1)), Misconduct)
    assert.throws(() => receiver.decompress(data.subarray(0, -2)), Misconduct)
  })

  it("says nothing in one octet", () => {
    const sender = new Deflate({ own: plain, peer: plain })
    assert.deepStrictEqual([...sender.compress(new Uint8Array(0))], [0])
    assert.strictEqual(new Deflate({ own: plain, peer: plain }).decompress(Uint8Array.of(0)).length, 0)
  })
})
