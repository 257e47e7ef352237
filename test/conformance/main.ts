import { README, rewriteSection } from "../support/readmeSection.js"
import { benchOf } from "./blind/Bench.js"
import { isOfRole } from "./blind/BlindSpot.js"
import { blindSpots } from "./blind/index.js"
import { cases } from "./cases/index.js"
import { isPassed, type Verdict } from "./judge.js"
import { type Options, parse, usage } from "./options.js"
import { runAll } from "./pool.js"
import { markdown } from "./readme.js"
import { failures, keyOf, load, type Result, save, summary, table } from "./results.js"
import { againstClient, againstServer, type Role, type Runner } from "./run.js"
import { startClient, startServer, type TargetName, testees } from "./targets.js"

/** Runs the cases of the public WebSocket testsuite, and what it leaves out, against this library or, to compare, against `ws`. */

const print = (text: string): void => console.log(text)

/** A target in a role, and the harness at its other end. */
const start = async (target: TargetName, role: Role, compresses: boolean): Promise<Runner> => {
  if (role === "server") {
    const server = await startServer(target, compresses)
    return { ...againstServer(server.port), stop: server.stop }
  }
  const client = startClient(target, compresses)
  const runner = await againstClient(client)
  return { ...runner, stop: () => runner.stop().then(client.stop) }
}

/** In the order of the suite, whatever order they ended in. */
const order = new Map([...cases, ...blindSpots].map(({ id }, i) => [id, i]))
const sorted = (results: Iterable<Result>): ReadonlyArray<Result> =>
  [...results].sort((a, b) => (order.get(a.id) ?? 0) - (order.get(b.id) ?? 0))

const run = async ({ isWanted, jobs, json, roles, target }: Options): Promise<boolean> => {
  const known = new Map((json === undefined ? [] : load(json)).map((result) => [keyOf(result), result]))
  const wanted: Array<Pick<Result, "role" | "id">> = []
  for (const role of roles) {
    const choose = <A extends { readonly id: string }>(tests: ReadonlyArray<A>): ReadonlyArray<A> => {
      const chosen = tests.filter(isWanted)
      wanted.push(...chosen.map(({ id }) => ({ role, id })))
      return chosen.filter(({ id }) => !known.has(keyOf({ target, role, id })))
    }
    const tell = ({ id }: { readonly id: string }, verdict: Verdict, milliseconds: number) => {
      const result = { target, role, id, milliseconds, ...verdict }
      known.set(keyOf(result), result)
      if (json !== undefined) save(json, sorted(known.values()))
      if (!isPassed(result)) console.error(failures([result]))
    }
    for (const compresses of [false, true]) {
      const left = choose(cases.filter(({ deflate }) => (deflate !== undefined) === compresses))
      if (left.length === 0) continue
      const runner = await start(target, role, compresses)
      await runAll(runner, left, jobs, tell)
      await runner.stop()
    }
    const testee = testees[target]
    if (testee !== undefined) await runAll(benchOf(testee, role), choose(blindSpots.filter(isOfRole(role))), jobs, tell)
  }
  const results = wanted.map(({ role, id }) => known.get(keyOf({ target, role, id }))!)
  print(`${table(results)}\n`)
  for (const { behavior, role, id, note } of results) {
    if (behavior === "INFORMATIONAL") print(`${target} ${role} ${id}, informational: ${note}`)
  }
  print(summary(results))
  return results.length > 0 && results.every(isPassed)
}

/** Makes the README's table of what was measured before. */
const show = (file: string): void => {
  const results = load(file)
  if (results.length === 0) throw new Error(`there are no results in ${file}`)
  const made = markdown(results)
  if (!rewriteSection(README, "conformance", made)) print(made)
}

try {
  const options = parse(process.argv.slice(2))
  if (options.readme !== undefined) show(options.readme)
  else process.exitCode = (await run(options)) ? 0 : 1
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
  process.exitCode = 2
}
