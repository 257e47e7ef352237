import { buildBench, buildLibrary } from "./build.js"
import { whyUnpinned } from "./child.js"
import { type Options, parseOptions, usage } from "./options.js"
import { guardMinimum, type Results, ratio, table } from "./results.js"
import { measure, RunFailed, type Sample, type ServerName } from "./run.js"
import { type WorkloadName, workloadNamed } from "./workloads.js"

const print = (text: string): void => console.log(text)

/** On stderr, so that the tables alone can be kept. */
const progress = (text: string): void => console.error(text)

const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

/** All rounds of a workload. A server whose run fails is left out of the rounds that follow. */
const compare = async (workload: WorkloadName, { before, servers, rounds, seconds }: Options): Promise<Results> => {
  const failures = new Map<ServerName, string>()
  const done: Array<Map<ServerName, Sample>> = []
  for (let i = 1; i <= rounds; i++) {
    const round = new Map<ServerName, Sample>()
    for (const server of shuffled(servers.filter((name) => !failures.has(name)))) {
      try {
        round.set(server, await measure(server, workload, { seconds, warmUpSeconds: Math.max(1, seconds / 2), before }))
      } catch (error) {
        if (!(error instanceof RunFailed)) throw error
        failures.set(server, error.message)
        progress(`${workload} ${server} failed: ${error.message}`)
      }
    }
    done.push(round)
    const figures = [...round].map(([server, { serverMicros }]) => `${server} ${serverMicros.toFixed(2)} µs`)
    progress(`${workload} round ${i} of ${rounds}: ${figures.join(", ")}`)
  }
  return { workload, rounds: done, failures }
}

const measureAll = async (options: Options): Promise<boolean> => {
  let complete = true
  for (const workload of options.workloads) {
    const results = await compare(workload, options)
    print(`${table(results, options.servers)}\n`)
    complete &&= results.failures.size === 0
  }
  print("Medians of the rounds; against ws: ws' CPU time over the server's, round by round.")
  return complete
}

/** Measures once more before it says no: on a shared machine one bad minute is no regression. */
const guard = async (options: Options): Promise<boolean> => {
  const holds = async (workload: WorkloadName): Promise<boolean> => {
    const minimum = guardMinimum(workloadNamed(workload))
    const results = await compare(workload, options)
    const value = ratio(results, "ours", "ws")?.median
    const ok = results.failures.size === 0 && value !== undefined && value >= minimum
    print(`${table(results, options.servers)}\n  guard: at least ${minimum.toFixed(2)}: ${ok ? "held" : "FAILED"}\n`)
    return ok
  }
  let all = true
  for (const workload of options.workloads) all = ((await holds(workload)) || (await holds(workload))) && all
  return all
}

/** The same run must pass with ws, which shares no code with this folder, and name the wrong bytes of the liar. */
const selfTest = async ({ workloads }: Options): Promise<boolean> => {
  const outcome = async (server: "ws" | "liar", workload: WorkloadName) => {
    try {
      await measure(server, workload, { seconds: 0.5, warmUpSeconds: 0.2 })
      return { caught: false, said: "passed" }
    } catch (error) {
      if (!(error instanceof RunFailed)) throw error
      return { caught: error.fault === "WrongReply", said: error.message }
    }
  }
  let all = true
  for (const workload of workloads) {
    const honest = await outcome("ws", workload)
    const liar = await outcome("liar", workload)
    print(`${workload} ws:   ${honest.said}\n${workload} liar: ${liar.said}`)
    all &&= honest.said === "passed" && liar.caught
  }
  print(all ? "The liar was caught, the honest server was not." : "SELF-TEST FAILED")
  return all
}

const main = async (): Promise<boolean> => {
  const options = parseOptions(process.argv.slice(2))
  if (options.mode === "help") {
    print(usage)
    return true
  }
  if (whyUnpinned !== undefined) progress(`Not pinned to cores (${whyUnpinned}): expect more noise.`)
  buildBench()
  if (options.mode === "selfTest") return selfTest(options)
  if (options.servers.includes("ours")) buildLibrary()
  if (options.before !== undefined) {
    buildBench(options.before)
    buildLibrary(options.before)
  }
  return options.mode === "guard" ? guard(options) : measureAll(options)
}

main().then(
  (ok) => {
    process.exitCode = ok ? 0 : 1
  },
  (error: unknown) => {
    progress(error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  }
)
