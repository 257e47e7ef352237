import { assert, describe, it } from "vitest"
import type { Case } from "./Case.js"
import { cases, groupOf } from "./cases/index.js"
import { type Faults, startEchoPeer } from "./EchoPeer.js"
import { isPassed, type Verdict } from "./judge.js"
import { runAll } from "./pool.js"
import { kindOf } from "./results.js"
import { againstClient, againstServer } from "./run.js"
import { startClient, startServer } from "./targets.js"

/** The harness is right about permessage-deflate where it is known who does what: `ws`, and peers broken on purpose. */

const JOBS = 4
const PATIENCE = 5

/** The same cases with fewer messages: what a peer gets wrong it gets wrong soon. */
const shortened = (test: Case, count: number): Case => ({
  ...test,
  steps: test.steps.map((step) => (step._tag === "RoundTrips" ? { ...step, count } : step))
})

const all = cases.filter(({ deflate }) => deflate !== undefined)
const few = all.map((test) => shortened(test, 3))
/** Short messages, a kilobyte, long ones, fragments. */
const sizes = [2, 4, 9, 11, 18]
const sizeOf = ({ id }: Case): number => Number(id.split(".")[2])
const sample = all
  .filter((test) => sizes.includes(sizeOf(test)))
  .map((test) => shortened(test, sizeOf(test) <= 4 ? 40 : 3))

/** Which were not passed, and how, in the order of the cases. */
const red = (tests: ReadonlyArray<Case>, verdicts: ReadonlyMap<string, Verdict>): ReadonlyArray<string> =>
  tests.flatMap(({ id }) => {
    const verdict = verdicts.get(id)
    return verdict === undefined || isPassed(verdict) ? [] : [`${id} ${kindOf(verdict)}`]
  })

const against = async (faults: Partial<Faults>, tests: ReadonlyArray<Case>) => {
  const peer = await startEchoPeer(faults)
  const verdicts = await runAll(againstServer(peer.port, PATIENCE), tests, JOBS)
  await peer.stop()
  return verdicts
}

const none: ReadonlyArray<string> = []
const unimplemented = sample.map(({ id }) => `${id} UNIMPLEMENTED`)

describe("ws, which keeps to what is agreed", () => {
  it("as a server passes every case", { timeout: 60_000 }, async () => {
    const server = await startServer("ws", true)
    const verdicts = await runAll(againstServer(server.port, PATIENCE), few, JOBS)
    await server.stop()
    assert.strictEqual(verdicts.size, 216)
    assert.deepStrictEqual(red(few, verdicts), none)
  })

  it("as a client passes every case", { timeout: 60_000 }, async () => {
    const target = startClient("ws", true)
    const runner = await againstClient(target, PATIENCE)
    const verdicts = await runAll(runner, few, JOBS)
    await runner.stop()
    await target.stop()
    assert.strictEqual(verdicts.size, 216)
    assert.deepStrictEqual(red(few, verdicts), none)
  })

  it("where it does not compress, implements none of them", async () => {
    const server = await startServer("ws")
    const verdicts = await runAll(againstServer(server.port, PATIENCE), sample, JOBS)
    await server.stop()
    assert.deepStrictEqual(red(sample, verdicts), unimplemented)
  })
})

const isOf =
  (...parameters: ReadonlyArray<number>) =>
  ({ id }: Case): boolean =>
    groupOf(id) === 13 && parameters.includes(Number(id.split(".")[1]))

/** Whose messages, or what is taken over of them, are longer than the window of 512 octets. */
const isLonger = (test: Case): boolean => sizeOf(test) > 2 || isOf(3)(test)

const broken: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, isRed: (test: Case) => boolean]> = [
  ["makes no mistake", {}, () => false],
  [
    "keeps no context, which it was not asked",
    { takesContextOver: false, answers: "permessage-deflate; server_no_context_takeover" },
    isOf(3, 4, 5, 6)
  ],
  ["takes its context over all the same", { takesContextOver: true }, isOf(2, 5, 6, 7)],
  ["reaches beyond its window", { ignoresWindow: true }, (test) => isOf(3, 5, 7)(test) && isLonger(test)],
  ["marks continuations as compressed", { marksContinuations: true }, () => true],
  ["does not mark what is compressed", { hidesCompression: true }, () => true],
  ["sends bad deflate data", { spoilsCompression: true }, () => true],
  ["answers less than is asked", { answers: "permessage-deflate" }, isOf(2, 3, 4, 5, 6)],
  ["answers with an unknown parameter", { answers: "permessage-deflate; level=9" }, () => true],
  [
    "answers with a parameter twice",
    { answers: `permessage-deflate${"; server_max_window_bits=9".repeat(2)}` },
    () => true
  ],
  ["answers with a window that there is not", { answers: "permessage-deflate; server_max_window_bits=7" }, () => true],
  ["answers twice", { answers: "permessage-deflate, permessage-deflate" }, () => true]
]

describe("a peer that", () => {
  it.each(broken)("%s is seen, where it shows and nowhere else", { timeout: 60_000 }, async (_, faults, isRed) => {
    const failed = red(sample, await against(faults, sample))
    assert.deepStrictEqual(
      failed,
      sample.filter(isRed).map(({ id }) => `${id} failed`)
    )
  })

  it("declines has what is not agreed left unimplemented", async () => {
    const verdicts = await against({ declinesExtensions: true }, sample)
    assert.deepStrictEqual(red(sample, verdicts), unimplemented)
  })

  it("agrees to an extension that was not offered is seen", async () => {
    const plain = cases.filter(({ id }) => groupOf(id) === 2)
    const verdicts = await against({ answers: "permessage-deflate" }, plain)
    assert.deepStrictEqual(
      red(plain, verdicts),
      plain.map(({ id }) => `${id} failed`)
    )
  })
})
