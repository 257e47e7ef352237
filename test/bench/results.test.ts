import { assert, describe, it } from "vitest"
import { growthVerdicts, guardMinimum, median, ratio, serversOf, table, verdicts } from "../../bench/results.js"
import { workloadNamed } from "../../bench/workloads.js"
import { resultsOf } from "./samples.js"

describe("what was measured", () => {
  it("has medians of odd and even numbers of rounds", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
  })

  it("is compared round by round, where a round has both", () => {
    const results = resultsOf("P3", { ws: [10, 20, 30], ours: [1, 4] })
    assert.deepStrictEqual(ratio(results, "ours", "ws"), { median: 7.5, least: 5, most: 10 })
    assert.isUndefined(ratio(results, "ours", "uws"))
  })

  it("names servers that failed, too", () => {
    assert.deepStrictEqual(serversOf(resultsOf("P3", { ours: [1], raw: [1] }, { failures: { ws: "gone" } })), [
      "raw",
      "ws",
      "ours"
    ])
  })

  it("reaches a goal, a floor, or neither", () => {
    const reached = (ours: number) =>
      verdicts(resultsOf("P1", { ws: [13], ours: [ours] })).map(({ reached, what }) => [what, reached])
    assert.deepStrictEqual(reached(10), [["against ws", "goal"]])
    assert.deepStrictEqual(reached(11), [["against ws", "floor"]])
    assert.deepStrictEqual(reached(12), [["against ws", "neither"]])
  })

  it("is better with fewer bytes", () => {
    const reached = (bytes: number) => verdicts(resultsOf("P9/plain", { ours: [bytes] })).map(({ reached }) => reached)
    assert.deepStrictEqual([7_800, 7_801, 10_001].flatMap(reached), ["goal", "floor", "neither"])
  })

  it("is judged against every peer that a workload names", () => {
    const results = resultsOf("P3", { ws: [14], uws: [1], "effect-socket": [20], ours: [1] })
    assert.deepStrictEqual(
      verdicts(results).map(({ reached, what }) => `${what} ${reached}`),
      ["against ws goal", "against uws neither", "against effect-socket floor"]
    )
  })

  it("is flat within a fifth of the second size", () => {
    const all = [10, 100, 1_000, 10_000].map((size, i) =>
      resultsOf(`P14/echo/${size}`, { ours: [[12, 10, 7.9, 12.1][i] ?? 0] })
    )
    assert.deepStrictEqual(growthVerdicts(all), [
      "P14/echo/10: +20 % of P14/echo/100, flat (± 20 %)",
      "P14/echo/1000: −21 % of P14/echo/100, NOT flat (± 20 %)",
      "P14/echo/10000: +21 % of P14/echo/100, NOT flat (± 20 %)"
    ])
    assert.deepStrictEqual(growthVerdicts(all.slice(0, 1)), [])
  })

  it("grows beside bare Node", () => {
    const all = [10, 100].map((size, i) =>
      resultsOf(`P14/echo/${size}`, { ours: [[12, 10][i] ?? 0], raw: [[8, 10][i] ?? 0] })
    )
    assert.deepStrictEqual(growthVerdicts(all), ["P14/echo/10: +20 % of P14/echo/100, flat (± 20 %); bare Node −20 %"])
  })

  it("makes a table that shows failures", () => {
    const shown = table(resultsOf("P2", { ws: [8.8], ours: [8] }, { failures: { raw: "it ended" } }))
    assert.include(shown, "raw             failed: it ended")
    assert.include(shown, "ours against ws 1.10: floor 1.10 reached, goal 1.30 NOT reached")
  })
})

describe("the guard", () => {
  it("wants 80 % of the floor against ws, and of P2 never less than 1", () => {
    const minimum = (name: string) => Number(guardMinimum(workloadNamed(name)).toFixed(2))
    assert.deepStrictEqual(["P2", "P3", "P5", "P10"].map(minimum), [1, 6.4, 2.8, 2.8])
  })

  it("says where the time goes, of whom that is known", () => {
    const profiles = { ours: { cost: 10, load: 1, perSecond: 1000, shares: { write: 0.6, here: 0.399, zlib: 0.001 } } }
    const shown = table(resultsOf("P2", { ws: [8.8], ours: [8] }, { profiles }))
    const line = shown.split("\n").find((text) => text.startsWith("  ours      ") && text.includes("6.00"))
    assert.deepStrictEqual(line?.trim().split(/\s+/), "ours 10.0 – 6.00 – – – – – – – 3.99 –".split(" "))
    assert.include(shown, "of a profile")
  })
})
