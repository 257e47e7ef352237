import { assert, describe, it } from "vitest"
import { benchOf } from "./blind/Bench.js"
import { isOfRole } from "./blind/BlindSpot.js"
import { blindSpots } from "./blind/index.js"
import { ours } from "./blind/oursTestee.js"
import type { Testee } from "./blind/Testee.js"
import { isPassed, type Verdict } from "./judge.js"
import { runAll } from "./pool.js"
import type { Role } from "./run.js"

/** What the public testsuite leaves out, against this library and against peers that are broken on purpose. */

const JOBS = 8

/** A busy machine is no fault of a testee. */
const PATIENCE = 5

const none: ReadonlyArray<string> = []

const against = (testee: Testee, role: Role, patience: number): Promise<ReadonlyMap<string, Verdict>> =>
  runAll(benchOf(testee, role, patience), blindSpots.filter(isOfRole(role)), JOBS)

/** The scenarios that were not passed, each with why. */
const red = (verdicts: ReadonlyMap<string, Verdict>): ReadonlyArray<string> =>
  [...verdicts].filter(([, verdict]) => !isPassed(verdict)).map(([id, { note }]) => `${id} ${note}`)

describe("this library", () => {
  it.each(["server", "client"] as const)("leaves no blind spot as a %s", { timeout: 120_000 }, async (role) => {
    assert.deepStrictEqual(red(await against(ours, role, PATIENCE)), none)
  })
})
