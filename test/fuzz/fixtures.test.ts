import { assert, describe, it } from "vitest"
import { met, stricter } from "./differential.js"
import { bytesOf, fixtures } from "./fixtures.js"
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

describe("a second of fuzzing", () => {
  it.each(modes.map((mode) => [mode.name, mode] as const))("%s finds nothing", async (_, mode) => {
    const { executions, finds } = await run(mode, { seconds: 1, seed: SEED })
    assert.deepStrictEqual(finds, [])
    assert.isAbove(executions, 10)
  })

  it("meets every point in which we are stricter than ws", async () => {
    const differential = modes.find(({ name }) => name === "differential")!
    for (let seed = 1; seed < 20 && [...met.values()].includes(0); seed++)
      await run(differential, { seconds: 0.5, seed })
    assert.deepStrictEqual(
      [...met].filter(([, times]) => times === 0),
      []
    )
    assert.strictEqual(met.size, stricter.length)
  })
})

describe("beside ws, compressed", () => {
  it("meets every point in which we are not as ws", async () => {
    for (let seed = 1; seed < 20 && [...metPoints.values()].includes(0); seed++)
      await run(wsDeflate, { seconds: 0.5, seed })
    assert.notInclude([...metPoints.values()], 0)
  })
})

describe("a seed", () => {
  it.each(modes.map((mode) => [mode.name, mode] as const))("always makes the same inputs for %s", (_, mode) => {
    const inputs = () => Array.from({ length: 50 }, (_, seed) => [...mode.generate(new Random(seed), seed)])
    assert.deepStrictEqual(inputs(), inputs())
  })
})
