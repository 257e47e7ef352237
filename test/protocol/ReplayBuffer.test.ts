import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { ReplayBuffer } from "../../src/protocol/ReplayBuffer.js"

const none = { maxReplayBytes: Number.POSITIVE_INFINITY, maxReplayMessages: Number.POSITIVE_INFINITY }

const filled = (count: number, limits = none) => {
  const buffer = new ReplayBuffer(limits)
  for (let n = 1; n <= count; n++) buffer.push(`${n}`)
  return buffer
}

describe("C8: ReplayBuffer", () => {
  it("counts from 1", () => {
    const buffer = filled(0)
    expect([buffer.first, buffer.next, buffer.isEmpty]).toEqual([1, 1, true])
    buffer.push("a")
    expect([buffer.first, buffer.next, buffer.isEmpty]).toEqual([1, 2, false])
  })

  it("is full at so many messages, and has room once one is acknowledged", () => {
    const buffer = filled(2, { ...none, maxReplayMessages: 3 })
    expect(buffer.isFull).toBe(false)
    buffer.push("3")
    expect(buffer.isFull).toBe(true)
    buffer.take(1, 1)
    expect(buffer.acknowledge(1)).toBe(true)
    expect(buffer.isFull).toBe(false)
  })

  it("is full at so many bytes, 64 charged for each message, and takes one beyond", () => {
    const buffer = new ReplayBuffer({ ...none, maxReplayBytes: 64 + 10 + 64 + 10 })
    buffer.push("x".repeat(10))
    expect(buffer.isFull).toBe(false)
    buffer.push(new Uint8Array(9))
    expect(buffer.isFull).toBe(false)
    buffer.push("x".repeat(10_000))
    expect(buffer.isFull).toBe(true)
    buffer.take(1, 1_000_000)
    buffer.acknowledge(3)
    expect([buffer.isFull, buffer.isEmpty]).toEqual([false, true])
    buffer.push("x".repeat(84))
    expect(buffer.isFull).toBe(true)
  })

  it("knows what was never sent, and lets nobody acknowledge it", () => {
    const buffer = filled(3)
    expect(buffer.acknowledge(0)).toBe(true)
    expect(buffer.acknowledge(1)).toBe(false)
    expect(buffer.take(1, 1)).toEqual(["1"])
    expect([buffer.hasSent(1), buffer.hasSent(2)]).toEqual([true, false])
    expect(buffer.acknowledge(2)).toBe(false)
    expect(buffer.first).toBe(1)
    expect(buffer.acknowledge(1)).toBe(true)
    expect(buffer.acknowledge(1)).toBe(true)
    expect(buffer.first).toBe(2)
  })

  it("gives at least one message, and then as many as fit", () => {
    const buffer = filled(9)
    expect(buffer.take(1, 0)).toEqual([])
    expect(buffer.take(1, 1)).toEqual(["1"])
    expect(buffer.take(4, 65)).toEqual(["4"])
    expect(buffer.take(4, 66)).toEqual(["4", "5"])
    expect(buffer.take(10, 100)).toEqual([])
  })

  it("keeps exactly what is not acknowledged, whatever comes", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), by: fc.integer({ min: 1, max: 700 }) }),
      fc.record({ kind: fc.constant("acknowledge" as const), by: fc.integer({ min: -5, max: 700 }) })
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const buffer = filled(0)
        let pushed = 0
        let acknowledged = 0
        for (const { kind, by } of steps) {
          if (kind === "push") {
            for (let i = 0; i < by; i++) buffer.push(`${++pushed}`)
          } else {
            buffer.take(acknowledged + 1, Number.POSITIVE_INFINITY)
            const number = acknowledged + by
            expect(buffer.acknowledge(number)).toBe(number <= pushed)
            if (number <= pushed) acknowledged = Math.max(acknowledged, number)
          }
          expect([buffer.first, buffer.next]).toEqual([acknowledged + 1, pushed + 1])
          const kept = Array.from({ length: pushed - acknowledged }, (_, i) => `${acknowledged + 1 + i}`)
          expect(buffer.take(acknowledged + 1, Number.POSITIVE_INFINITY)).toEqual(kept)
        }
      })
    )
  })

  it("is empty when it is cleared, and goes on counting", () => {
    const buffer = filled(5)
    buffer.clear()
    expect([buffer.first, buffer.next, buffer.isEmpty]).toEqual([6, 6, true])
    expect(buffer.take(6, 100)).toEqual([])
  })
})
