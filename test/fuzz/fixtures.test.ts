import { assert, describe, it } from "vitest"
import { met, stricter } from "./differential.js"
import { bytesOf, fixtures } from "./fixtures.js"
import type { Mode } from "./mode.js"
import { modes } from "./modes.js"
import { Random } from "./random.js"
import { problemOf, run } from "./run.js"
import { metPoints, wsDeflate } from "./wsDeflate.js"

const SEED = 20_240_601

describe("what was once found", () => {
  it.each([...fixtures()])("%s shows no fault", async (_, fixture) => {
    const mode = modes.find(({ name }) => name === fixture.mode)
    assert(mode !== undefined, `there is no mode ${fixture.mode}`)
    assert.strictEqual(await problemOf(mode, bytesOf(fixture), fixture.seed), undefined)
  })
})

/** Goes on until each point was met, for as many cases as that should never take. */
const meetAll = async (mode: Mode, points: ReadonlyMap<string, number>) => {
  for (let seed = 1; seed < 300 && [...points.values()].includes(0); seed++)
    await run(mode, { executions: 1_000, seed })
  return [...points].filter(([, times]) => times === 0).map(([name]) => name)
}

describe("some fuzzing", () => {
  it.each(modes.map((mode) => [mode.name, mode] as const))("%s finds nothing", async (_, mode) => {
    const { finds } = await run(mode, { executions: 50, seed: SEED })
    assert.deepStrictEqual(finds, [])
  })

  it("meets every point in which we are stricter than ws", { timeout: 120_000 }, async () => {
    const differential = modes.find(({ name }) => name === "differential")!
    assert.deepStrictEqual(await meetAll(differential, met), [])
    assert.strictEqual(met.size, stricter.length)
  })
})

describe("beside ws, compressed", () => {
  it("meets every point in which we are not as ws", { timeout: 120_000 }, async () => {
    assert.deepStrictEqual(await meetAll(wsDeflate, metPoints), [])
  })
})

describe("a seed", () => {
  it.each(modes.map((mode) => [mode.name, mode] as const))("always makes the same inputs for %s", (_, mode) => {
    const inputs = () => Array.from({ length: 50 }, (_, seed) => [...mode.generate(new Random(seed), seed)])
    assert.deepStrictEqual(inputs(), inputs())
  })
})
