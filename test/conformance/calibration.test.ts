import { assert, describe, it } from "vitest"
import type { Case } from "./Case.js"
import { cases, groupOf } from "./cases/index.js"
import { type Faults, startEchoPeer } from "./EchoPeer.js"
import { isPassed, type Verdict } from "./judge.js"
import { isQuick } from "./options.js"
import { runAll } from "./pool.js"
import { kindOf } from "./results.js"
import { againstClient, againstServer } from "./run.js"
import { type ServerTarget, startClient, startServer, type TargetName } from "./targets.js"

/** The harness is right about peers of which it is known what they do: `ws`, and peers broken on purpose. */

const JOBS = 64

/** A busy machine is no fault of a testee; what waits for time to pass takes longer only where it fails. */
const PATIENCE = 5

/** What has nothing to do with permessage-deflate. */
const plain = cases.filter(({ deflate }) => deflate === undefined)
const quick = plain.filter(({ id }) => isQuick(id))
const none: ReadonlyArray<string> = []

const against = async (server: ServerTarget, tests: ReadonlyArray<Case>, patience: number) => {
  const verdicts = await runAll(againstServer(server.port, patience), tests, JOBS)
  await server.stop()
  return verdicts
}

const asClient = async (name: TargetName, tests: ReadonlyArray<Case>) => {
  const target = startClient(name)
  const runner = await againstClient(target, PATIENCE)
  const verdicts = await runAll(runner, tests, JOBS)
  await runner.stop()
  await target.stop()
  return verdicts
}

/** The cases that were not passed, each with why. */
const red = (verdicts: ReadonlyMap<string, Verdict>): ReadonlyArray<string> =>
  [...verdicts].filter(([, verdict]) => !isPassed(verdict)).map(([id, verdict]) => `${id} ${kindOf(verdict)}`)

const informational = (verdicts: ReadonlyMap<string, Verdict>): ReadonlyArray<string> =>
  [...verdicts].filter(([, verdict]) => kindOf(verdict) === "informational").map(([id]) => id)

const sorted = (ids: ReadonlyArray<string>): ReadonlyArray<string> => [...ids].sort()

describe("the cases", () => {
  it("are those of the public testsuite, each once", () => {
    const counts = new Map<number, number>()
    for (const { id } of cases) counts.set(groupOf(id), (counts.get(groupOf(id)) ?? 0) + 1)
    assert.deepStrictEqual(
      [...counts],
      [
        [1, 16],
        [2, 11],
        [3, 7],
        [4, 10],
        [5, 20],
        [6, 145],
        [7, 37],
        [9, 54],
        [10, 1],
        [12, 90],
        [13, 126]
      ]
    )
    assert.strictEqual(new Set(cases.map(({ id }) => id)).size, cases.length)
  })
})

describe("ws, which validates whole messages only", () => {
  const late = ["6.4.1 NON-STRICT", "6.4.2 NON-STRICT", "6.4.3 NON-STRICT", "6.4.4 NON-STRICT"]

  it("as a server comes out as it is known to", { timeout: 60_000 }, async () => {
    const verdicts = await against(await startServer("ws"), plain, PATIENCE)
    assert.deepStrictEqual(sorted(red(verdicts)), late)
    assert.deepStrictEqual(sorted(informational(verdicts)), ["7.1.6", "7.13.1", "7.13.2"])
  })

  it("as a client comes out as it is known to", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(sorted(red(await asClient("ws", quick))), late)
  })
})

describe("this library", () => {
  it("passes strictly as a server", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(red(await against(await startServer("ours"), plain, PATIENCE)), none)
  })

  it("passes strictly as a client", { timeout: 60_000 }, async () => {
    assert.deepStrictEqual(red(await asClient("ours", quick)), none)
  })
})

/** Without those that need a peer better than the small one, or that have much time to fail in. */
const sample = quick.filter(({ id, patience }) => groupOf(id) !== 9 && !id.startsWith("6.4.") && patience <= 3_000)

const isFailing = ({ ending }: Case): boolean => !ending.codes.includes(1000)
const hasMessage = ({ expected }: Case): boolean =>
  expected.some(({ type, payload }) => (type === "text" || type === "binary") && payload.length > 0)
const named =
  (...ids: ReadonlyArray<string>) =>
  ({ id }: Case): boolean =>
    ids.includes(id)
const numbered = (prefix: string, from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => `${prefix}${from + i}`)

const broken: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, isRed: (test: Case) => boolean]> = [
  ["makes no mistake", {}, () => false],
  ["does not check UTF-8", { ignoresUtf8: true }, (test) => isFailing(test) && test.ending.codes.includes(1007)],
  // 3.7 cannot tell: a close frame is answered with a close frame either way.
  ["ignores reserved bits", { ignoresReservedBits: true }, named(...numbered("3.", 1, 6))],
  ["ignores reserved opcodes", { ignoresReservedOpcodes: true }, ({ id }) => groupOf(id) === 4],
  ["ignores stray continuations", { ignoresStrayContinuations: true }, named(...numbered("5.", 9, 17))],
  ["takes fragmented and long control frames", { ignoresControlFrameRules: true }, named("2.5", "5.1", "7.3.6")],
  ["takes every close code", { ignoresCloseCodes: true }, ({ id }) => id.startsWith("7.9.")],
  ["fails with a code of its own", { closesWith: 1011 }, isFailing],
  ["sends no pong", { sendsNoPong: true }, ({ expected }) => expected.some(({ type }) => type === "pong")],
  ["truncates its echoes", { truncates: true }, hasMessage],
  ["echoes text as binary", { echoesAsBinary: true }, ({ expected }) => expected.some(({ type }) => type === "text")],
  ["masks its frames", { masksItsFrames: true }, ({ informational }) => !informational],
  [
    "drops TCP instead of a closing handshake",
    { answersNoClose: true },
    ({ ending, informational }) => ending.clean && !informational
  ],
  ["leaves TCP open", { keepsTcp: true }, ({ informational }) => !informational],
  ["goes on behind a close frame", { readsBehindClose: true }, named("7.1.2", "7.1.3", "7.1.4", "7.1.5")]
]

describe.concurrent("a peer that", () => {
  it.each(broken)("%s is seen, where it shows and nowhere else", { timeout: 60_000 }, async (_, faults, isRed) => {
    const verdicts = await against(await startEchoPeer(faults), sample, 2)
    const failed = [...verdicts].filter(([, verdict]) => !isPassed(verdict)).map(([id]) => id)
    assert.deepStrictEqual(sorted(failed), sorted(sample.filter(isRed).map(({ id }) => id)))
  })
})
