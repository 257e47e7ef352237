import { describe, expect, it } from "vitest"
import * as Extension from "../../src/protocol/Extension.js"
import { violation } from "../../src/protocol/Frame.js"
import { inverting, unhex } from "./helpers.js"

/** Writes its mark behind a payload and takes it off again. */
const marking = (rsv: number, mark: number): Extension.Codec => ({
  rsv,
  encode: (payload) => Uint8Array.from([...payload, mark]),
  decode: (payload) => (payload.at(-1) === mark ? payload.slice(0, -1) : violation(1007, `no mark ${mark}`))
})

const passing: Extension.Codec = {
  rsv: 4,
  encode: () => undefined,
  decode: () => violation(1007, "was never encoded")
}

/** The same, later: when the test says so. */
const slow = (codec: Extension.Codec, waiting: Array<() => void>): Extension.Codec => {
  const later = <A>(result: Extension.Eventual<A>): Extension.Eventual<A> => {
    if (typeof result === "function") return result
    return (done) => void waiting.push(() => done(result))
  }
  return {
    rsv: codec.rsv,
    encode: (payload) => later(codec.encode(payload) as Uint8Array),
    decode: (payload, limit) => later(codec.decode(payload, limit))
  }
}

/** What becomes of a result that comes later. */
const eventually = <A>(result: Extension.Eventual<A>): ReadonlyArray<A> => {
  const seen: Array<A> = []
  if (typeof result !== "function") throw new Error("it was there at once")
  ;(result as (done: (result: A) => void) => void)((value) => seen.push(value))
  return seen
}

/** Makes every byte thrice, without a look at the limit. */
const bomb: Extension.Codec = {
  rsv: 4,
  encode: (payload) => payload,
  decode: (payload) => Uint8Array.from([...payload, ...payload, ...payload])
}

const first = marking(4, 0xa1)
const second = marking(2, 0xb2)

describe("Extension.reservedBits", () => {
  it("puts together the bits of all codecs", () => {
    expect(Extension.reservedBits([])).toBe(0)
    expect(Extension.reservedBits([first])).toBe(4)
    expect(Extension.reservedBits([first, second, inverting(1)])).toBe(7)
  })

  it.each([
    [4, 4],
    [6, 2],
    [1, 7]
  ])("does not let two codecs have the same bit: %i and %i", (one, other) => {
    expect(Extension.reservedBits([inverting(one), inverting(other)])).toBeUndefined()
  })
})

describe("a codec without a bit", () => {
  it("is not agreed to: nobody could tell what it has encoded", () => {
    expect(Extension.reservedBits([inverting(0)])).toBeUndefined()
    expect(Extension.reservedBits([first, inverting(0)])).toBeUndefined()
  })
})

describe("Extension.encode", () => {
  it("goes through the codecs in order and sets the bits of each", () => {
    expect(Extension.encode([first, second], unhex("00"))).toEqual({ payload: unhex("00a1b2"), rsv: 6 })
  })

  it("leaves out the bits of a codec that leaves the message as it is", () => {
    const untouched = unhex("00")
    expect(Extension.encode([passing], untouched)).toEqual({ payload: untouched, rsv: 0 })
    expect(Extension.encode([passing, second], untouched)).toEqual({ payload: unhex("00b2"), rsv: 2 })
  })

  it("leaves a message as it is where nothing is agreed", () => {
    expect(Extension.encode([], unhex("01"))).toEqual({ payload: unhex("01"), rsv: 0 })
  })
})

describe("Extension.decode", () => {
  it("goes back through the codecs, last first", () => {
    expect(Extension.decode([first, second], unhex("00a1b2"), 6, 9)).toEqual(unhex("00"))
  })

  it("passes over codecs whose bits the message does not have", () => {
    expect(Extension.decode([first, second], unhex("00a1"), 4, 9)).toEqual(unhex("00"))
    expect(Extension.decode([first, second], unhex("00b2"), 2, 9)).toEqual(unhex("00"))
    expect(Extension.decode([first, inverting(3)], unhex("00a1"), 5, 9)).toEqual(unhex("00"))
  })

  it("ends at the first codec that finds a violation", () => {
    expect(Extension.decode([first, second], unhex("00"), 6, 9)).toEqual(violation(1007, "no mark 178"))
  })

  it("lets a message of exactly the limit through and no byte more, whatever a codec makes of it", () => {
    expect(Extension.decode([bomb], unhex("0102"), 4, 6)).toEqual(unhex("010201020102"))
    expect(Extension.decode([bomb], unhex("0102"), 4, 5)).toEqual(
      violation(1009, "6 bytes exceed maxMessageSize (5 bytes)")
    )
  })

  it("makes a violation of a codec that throws", () => {
    const codec: Extension.Codec = {
      ...first,
      decode: () => {
        throw new TypeError("a fault of its own")
      }
    }
    expect(Extension.decode([codec], unhex("00"), 4, 9)).toEqual(
      violation(1011, "an extension could not decode a message")
    )
  })

  it("tells each codec the limit", () => {
    const limits: Array<number> = []
    const codec: Extension.Codec = {
      ...first,
      decode: (payload, limit) => {
        limits.push(limit)
        return payload
      }
    }
    Extension.decode([codec, inverting(2)], unhex("00"), 4, 77)
    expect(limits).toEqual([77])
  })
})

describe("a codec that takes its time", () => {
  it.each([
    ["first", true, false],
    ["second", false, true],
    ["one of two", true, true]
  ])("is waited for, as the %s of the chain", (_, isFirstSlow, isSecondSlow) => {
    const waiting: Array<() => void> = []
    const chain = [isFirstSlow ? slow(first, waiting) : first, isSecondSlow ? slow(second, waiting) : second]
    const run = () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next()
    }
    const encoded = eventually(Extension.encode(chain, unhex("00")))
    expect(encoded).toEqual([])
    run()
    expect(encoded).toEqual([{ payload: unhex("00a1b2"), rsv: 6 }])
    const decoded = eventually(Extension.decode(chain, unhex("00a1b2"), 6, 9))
    expect(decoded).toEqual([])
    run()
    expect(decoded).toEqual([unhex("00")])
  })

  it("ends the chain with its violation, and with more than the limit", () => {
    const waiting: Array<() => void> = []
    const chain = [first, slow(second, waiting)]
    const wrong = eventually(Extension.decode(chain, unhex("00"), 6, 9))
    const large = eventually(Extension.decode([slow(bomb, waiting)], unhex("0102"), 4, 5))
    for (const run of waiting) run()
    expect(wrong).toEqual([violation(1007, "no mark 178")])
    expect(large).toEqual([violation(1009, "6 bytes exceed maxMessageSize (5 bytes)")])
  })

  it("has a fault of the next one said, where nobody is there to catch it", () => {
    const waiting: Array<() => void> = []
    const fails = (): never => {
      throw new TypeError("a fault of its own")
    }
    const chain = [slow(first, waiting), { ...second, encode: fails }]
    const encoded = eventually(Extension.encode(chain, unhex("00")))
    const decoded = eventually(
      Extension.decode([{ ...first, decode: fails }, slow(second, waiting)], unhex("00b2"), 6, 9)
    )
    for (const run of waiting) run()
    expect(encoded).toEqual([undefined])
    expect(decoded).toEqual([violation(1011, "an extension could not decode a message")])
  })

  it("gives its caller memory of its own, also where the next one uses its own again", () => {
    const waiting: Array<() => void> = []
    const scratch = new Uint8Array(1)
    const reusing: Extension.Codec = {
      ...second,
      encode: (payload) => {
        scratch[0] = payload[0]!
        return scratch
      }
    }
    const results = [1, 2].map((byte) =>
      eventually(Extension.encode([slow(inverting(4), waiting), reusing], Uint8Array.of(byte)))
    )
    for (const run of waiting) run()
    expect(results.map(([result]) => result?.payload[0])).toEqual([0xfe, 0xfd])
  })

  it("is told what the sender wants for the message", () => {
    const wishes: Array<boolean | undefined> = []
    const codec: Extension.Codec = {
      ...first,
      encode: (_, compress) => {
        wishes.push(compress)
        return undefined
      }
    }
    Extension.encode([codec, { ...codec, rsv: 2 }], unhex("00"), true)
    Extension.encode([codec], unhex("00"), false)
    Extension.encode([codec], unhex("00"))
    expect(wishes).toEqual([true, true, false, undefined])
  })
})
