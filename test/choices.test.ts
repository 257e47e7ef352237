import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { launchProgram } from "./node/child.js"
import { type Choices, findChoices } from "./support/choices.js"
import { isPortable } from "./support/mode.js"

/**
 * What this run of the tests is about: every way that not each runtime has, or none of them, here and in the processes
 * that tests start. Without it `npm run test:portable` might test the same as `npm test`.
 */

const all = (chosen: boolean): Choices => ({
  sharedReads: chosen,
  vectors: chosen,
  zlibContexts: chosen,
  nodeBuffers: chosen,
  nodeCrypto: chosen,
  immediates: chosen
})

describe(isPortable ? "without what not every runtime has" : "with all that Node has", () => {
  it.effect("the library here has chosen so", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.promise(findChoices), all(!isPortable))
    })
  )

  it.scopedLive("and so it has in a process that a test starts", () =>
    Effect.gen(function* () {
      const child = yield* launchProgram(fileURLToPath(new URL("support/choosing.ts", import.meta.url)))
      const { code, output } = yield* child.exit
      assert.strictEqual(code, 0, output)
      assert.deepStrictEqual(JSON.parse(output), all(!isPortable))
    })
  )
})
