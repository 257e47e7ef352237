import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { README, rewriteSection } from "../test/support/readmeSection.js"
import { buildBench, buildLibrary, root } from "./build.js"
import { writeCertificate } from "./certificate.js"
import { chart } from "./chart.js"
import { whyUnpinned } from "./child.js"
import { type Kept, load, merge, save } from "./kept.js"
import { commit, thisMachine, versions } from "./machine.js"
import { type Options, parseOptions, usage } from "./options.js"
import { type ServerName, serverNames, takesPart, whyAbsent } from "./peers.js"
import { countDown, progress } from "./progress.js"
import { markdown } from "./readme.js"
import { figure, growthVerdicts, guardMinimum, type Results, ratio, ratios, table } from "./results.js"
import { measure, RunFailed, type Sample } from "./run.js"
import { selfTest } from "./selfTest.js"
import { workloadNamed } from "./workloads.js"

const print = (text: string): void => console.log(text)

const shuffled = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)

/** Why some of those that are wanted can't be had. */
const absentOf = ({ servers }: Options): Readonly<Record<string, string>> => {
  const reasons = (servers ?? serverNames).flatMap((name) => {
    const reason = whyAbsent(name)
    return reason === undefined ? [] : [[name, reason] as const]
  })
  for (const [name, reason] of reasons) progress(`${name} is left out: ${reason}`)
  return Object.fromEntries(reasons)
}

const participants = (workload: string, servers: ReadonlyArray<ServerName>): ReadonlyArray<ServerName> =>
  servers.filter((server) => takesPart(server, workloadNamed(workload)))

/** All runs of all rounds. */
const runsOf = (servers: ReadonlyArray<ServerName>, { profile, rounds, workloads }: Options): number =>
  workloads.reduce((sum, workload) => {
    const taking = participants(workload, servers)
    return sum + rounds * taking.length + (profile ? profiled(workload, taking).length : 0)
  }, 0)

const measureWarm = (server: ServerName, name: string, options: Options): Promise<Sample> =>
  measure(server, name, { ...options, warmUpSeconds: Math.max(1, options.seconds / 2) })

/** Why a run has no figure; anything else is a fault of the benchmark's own. */
const reasonOf = (error: unknown): string => {
  if (error instanceof RunFailed) return error.message
  throw error
}

/** Where the time of each goes; those that are not on Node, and memory, have no profile. */
const profilesOf = async (
  name: string,
  servers: ReadonlyArray<ServerName>,
  options: Options,
  tick: (doing: string) => void
): Promise<NonNullable<Results["profiles"]>> => {
  const profiles: Partial<Record<ServerName, Sample>> = {}
  for (const server of profiled(name, servers)) {
    tick(`${name} ${server}, profile`)
    try {
      profiles[server] = await measureWarm(server, name, options)
    } catch (error) {
      progress(`${name} ${server} has no profile: ${reasonOf(error)}`)
    }
  }
  return profiles
}

const profiled = (name: string, servers: ReadonlyArray<ServerName>): ReadonlyArray<ServerName> =>
  workloadNamed(name).kind === "memory" ? [] : servers.filter((server) => server !== "python")

/** All rounds of a workload. A server whose run fails is left out of the rounds that follow. */
const compare = async (
  name: string,
  servers: ReadonlyArray<ServerName>,
  options: Options,
  tick: (doing: string) => void
): Promise<Results> => {
  const { rounds } = options
  const taking = participants(name, servers)
  const failures: Partial<Record<ServerName, string>> = {}
  const done: Array<Partial<Record<ServerName, Sample>>> = []
  for (let i = 1; i <= rounds; i++) {
    const round: Partial<Record<ServerName, Sample>> = {}
    for (const server of shuffled(taking)) {
      tick(`${name} ${server}, round ${i} of ${rounds}`)
      if (failures[server] !== undefined) continue
      try {
        round[server] = await measureWarm(server, name, { ...options, profile: false })
      } catch (error) {
        failures[server] = reasonOf(error)
        progress(`${name} ${server} failed: ${failures[server]}`)
      }
    }
    done.push(round)
    const figures = Object.entries(round).map(([server, { cost }]) => `${server} ${figure(cost)}`)
    progress(`${name} round ${i} of ${rounds}: ${figures.join(", ")}`)
  }
  const results = { workload: name, date: new Date().toISOString(), commit: commit(), rounds: done, failures }
  if (!options.profile) return results
  const sound = taking.filter((server) => failures[server] === undefined)
  return { ...results, profiles: await profilesOf(name, sound, options, tick) }
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

/** What was asked for, workload by workload; what is kept is kept after each of them. */
const measureAll = async (options: Options): Promise<boolean> => {
  const absent = absentOf(options)
  const here = (options.servers ?? serverNames).filter((name) => absent[name] === undefined)
  const servers = options.before === undefined ? here : [...here, "before" as const]
  const { json } = options
  const older = json === undefined ? undefined : load(json)
  const machine = thisMachine()
  let kept: Kept = { machine, versions: versions(), absent, results: [] }
  // Says before hours of measuring that they don't fit together.
  merge(older, kept)
  const tick = countDown(runsOf(servers, options))
  let complete = true
  for (const workload of options.workloads) {
    const { connections } = workloadNamed(workload)
    if (!canOpen(connections)) {
      progress(
        `${workload} is left out: this machine lets a process open fewer than ${connections} sockets (ulimit -Hn)`
      )
      complete = false
      continue
    }
    const results = await compare(workload, servers, options, tick)
    kept = { ...kept, results: [...kept.results, results] }
    if (json !== undefined) save(json, merge(older, kept))
    print(`${table(results)}\n`)
    complete &&= Object.keys(results.failures).length === 0
  }
  for (const line of growthVerdicts(kept.results)) print(line)
  const page = ratios(kept.results)
  if (page !== "") print(`${page}\n`)
  if (options.chart !== undefined) writeFileSync(options.chart, chart(kept.results))
  print("Medians of the rounds; against ws: what ws costs over what the server costs, round by round.")
  return complete
}

/** Makes the README's tables, and a chart, of what was measured before. */
const show = (file: string, image: string | undefined): boolean => {
  const kept = load(file)
  if (kept === undefined) throw new Error(`there is no ${file}`)
  const made = markdown(kept)
  if (!rewriteSection(README, "bench", made)) print(made)
  if (image !== undefined) writeFileSync(image, chart(kept.results))
  return true
}

/** Measures once more before it says no: on a shared machine one bad minute is no regression. */
const guard = async (options: Options): Promise<boolean> => {
  const servers = ["ws", "ours"] as const
  const tick = countDown(runsOf(servers, options))
  const holds = async (workload: string): Promise<boolean> => {
    const minimum = guardMinimum(workloadNamed(workload))
    const results = await compare(workload, servers, options, tick)
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
  if (options.readme !== undefined) return show(options.readme, options.chart)
  if (whyUnpinned !== undefined) progress(`Not pinned to cores (${whyUnpinned}): expect more noise.`)
  buildBench()
  await writeCertificate(join(root, "bench", "dist"))
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
