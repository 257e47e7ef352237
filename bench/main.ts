import { spawnSync } from "node:child_process"
import { buildBench, buildLibrary } from "./build.js"
import { writeCertificate } from "./certificate.js"
import { whyUnpinned } from "./child.js"
import { type Options, parseOptions, usage } from "./options.js"
import { type ServerName, serverNames, takesPart, whyAbsent } from "./peers.js"
import { figure, growthVerdicts, guardMinimum, type Results, ratio, table } from "./results.js"
import { measure, RunFailed, type Sample } from "./run.js"
import { selfTest } from "./selfTest.js"
import { workloadNamed } from "./workloads.js"

const print = (text: string): void => console.log(text)

/** On stderr, so that the tables alone can be kept. */
const progress = (text: string): void => console.error(text)

const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

/** Those that are wanted and can be had; the others are named with the reason. */
const present = ({ before, servers }: Options): ReadonlyArray<ServerName> => {
  const here = (servers ?? serverNames).filter((name) => {
    const reason = whyAbsent(name)
    if (reason !== undefined) progress(`${name} is left out: ${reason}`)
    return reason === undefined
  })
  return before === undefined ? here : [...here, "before"]
}

/** All rounds of a workload. A server whose run fails is left out of the rounds that follow. */
const compare = async (name: string, servers: ReadonlyArray<ServerName>, options: Options): Promise<Results> => {
  const { rounds, seconds } = options
  const workload = workloadNamed(name)
  const taking = servers.filter((server) => takesPart(server, workload))
  const failures: Partial<Record<ServerName, string>> = {}
  const done: Array<Partial<Record<ServerName, Sample>>> = []
  for (let i = 1; i <= rounds; i++) {
    const round: Partial<Record<ServerName, Sample>> = {}
    for (const server of shuffled(taking.filter((taken) => failures[taken] === undefined))) {
      try {
        round[server] = await measure(server, name, { ...options, warmUpSeconds: Math.max(1, seconds / 2) })
      } catch (error) {
        if (!(error instanceof RunFailed)) throw error
        failures[server] = error.message
        progress(`${name} ${server} failed: ${error.message}`)
      }
    }
    done.push(round)
    const figures = Object.entries(round).map(([server, { cost }]) => `${server} ${figure(cost)}`)
    progress(`${name} round ${i} of ${rounds}: ${figures.join(", ")}`)
  }
  return { workload: name, date: new Date().toISOString(), rounds: done, failures }
}

/** Whether so many connections can be open at a time, if need be by raising what a process may have. */
const canOpen = (connections: number): boolean => {
  const needed = connections + 1_000
  const limit = () => {
    const said = spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.trim()
    return said === "unlimited" ? Number.POSITIVE_INFINITY : Number(said)
  }
  if (limit() >= needed) return true
  spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${needed}:${needed}`])
  return limit() >= needed
}

const measureAll = async (options: Options): Promise<boolean> => {
  const servers = present(options)
  let complete = true
  const all: Array<Results> = []
  for (const workload of options.workloads) {
    const { connections } = workloadNamed(workload)
    if (!canOpen(connections)) {
      progress(
        `${workload} is left out: this machine lets a process open fewer than ${connections} sockets (ulimit -Hn)`
      )
      complete = false
      continue
    }
    const results = await compare(workload, servers, options)
    all.push(results)
    print(`${table(results)}\n`)
    complete &&= Object.keys(results.failures).length === 0
  }
  for (const line of growthVerdicts(all)) print(line)
  print("Medians of the rounds; against ws: what ws costs over what the server costs, round by round.")
  return complete
}

/** Measures once more before it says no: on a shared machine one bad minute is no regression. */
const guard = async (options: Options): Promise<boolean> => {
  const holds = async (workload: string): Promise<boolean> => {
    const minimum = guardMinimum(workloadNamed(workload))
    const results = await compare(workload, ["ws", "ours"], options)
    const value = ratio(results, "ours", "ws")?.median
    const ok = Object.keys(results.failures).length === 0 && value !== undefined && value >= minimum
    print(`${table(results)}\n  guard: at least ${minimum.toFixed(2)}: ${ok ? "held" : "FAILED"}\n`)
    return ok
  }
  let all = true
  for (const workload of options.workloads) all = ((await holds(workload)) || (await holds(workload))) && all
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
  await writeCertificate()
  if (options.mode === "selfTest") return selfTest(options.workloads, print)
  buildLibrary()
  if (options.before !== undefined) {
    buildLibrary(options.before)
    buildBench(options.before)
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
