import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { Arrivals } from "../../src/protocol/Arrivals.js"
import { ReplayBuffer } from "../../src/protocol/ReplayBuffer.js"

describe("C8: Arrivals", () => {
  it("counts what arrives, from 1", () => {
    const arrivals = new Arrivals()
    expect([arrivals.arrived(), arrivals.arrived(), arrivals.received]).toEqual([true, true, 2])
  })

  it("drops what has come before", () => {
    const arrivals = new Arrivals()
    arrivals.arrived()
    arrivals.arrived()
    expect(arrivals.from(1)).toBe(0)
    expect([arrivals.arrived(), arrivals.arrived(), arrivals.received]).toEqual([false, false, 2])
    expect([arrivals.arrived(), arrivals.received]).toEqual([true, 3])
  })

  it("counts what is taken beside what has come", () => {
    const arrivals = new Arrivals()
    arrivals.arrived()
    arrivals.arrived()
    expect(arrivals.taken).toBe(0)
    arrivals.take(1)
    expect([arrivals.taken, arrivals.received]).toEqual([1, 2])
  })

  it("says how many messages are missing, on both sides of none", () => {
    const arrivals = new Arrivals()
    arrivals.arrived()
    expect(arrivals.from(2)).toBe(0)
    expect(arrivals.from(3)).toBe(1)
    expect(arrivals.from(1_000)).toBe(998)
  })
})

describe("C8: a replay buffer and arrivals", () => {
  it("deliver everything once and in order, wherever connections break and acknowledgements are lost", () => {
    /** What gets through of one connection: messages, and acknowledgements of them. */
    const connection = fc.record({
      pushed: fc.integer({ min: 0, max: 5 }),
      delivered: fc.integer({ min: 0, max: 8 }),
      acknowledged: fc.integer({ min: 0, max: 8 }),
      /** An honest sender may begin further back than it has to. */
      back: fc.integer({ min: 0, max: 2 })
    })
    fc.assert(
      fc.property(fc.array(connection, { maxLength: 20 }), (connections) => {
        const buffer = new ReplayBuffer({ maxReplayBytes: 10_000, maxReplayMessages: 100 })
        const arrivals = new Arrivals()
        const got: Array<unknown> = []
        let pushed = 0
        const carry = (delivered: number, acknowledged: number, back: number) => {
          const begin = Math.max(buffer.first, arrivals.received + 1 - back)
          expect(arrivals.from(begin)).toBe(0)
          for (const message of buffer.take(begin, 10_000).slice(0, delivered)) {
            if (arrivals.arrived()) got.push(message)
          }
          expect(buffer.acknowledge(Math.min(acknowledged, arrivals.received))).toBe(true)
        }
        for (const { pushed: more, delivered, acknowledged, back } of connections) {
          for (let i = 0; i < more; i++) buffer.push(`${++pushed}`)
          carry(delivered, acknowledged, back)
        }
        carry(Number.POSITIVE_INFINITY, 0, 0)
        expect(got).toEqual(Array.from({ length: pushed }, (_, i) => `${i + 1}`))
      })
    )
  })
})
