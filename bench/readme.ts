import type { Kept } from "./kept.js"
import type { ServerName } from "./peers.js"
import { parts } from "./profile.js"
import {
  figure,
  growthVerdicts,
  profileRows,
  type Results,
  ratio,
  serversOf,
  typical,
  type Verdict,
  verdicts
} from "./results.js"
import { unitOf, workloadNamed } from "./workloads.js"

/** The README's tables of what was measured, as Markdown. */

const headings: Readonly<Record<ServerName, string>> = {
  raw: "bare Node",
  ws: "`ws`",
  "ws-bufferutil": "`ws` + `bufferutil`",
  "effect-socket": "Effect platform, `SocketServer`",
  "effect-http": "Effect platform, `upgrade`",
  python: "Python `websockets`",
  uws: "uWebSockets.js",
  ours: "here",
  "ours-loop": "here, `receive` loop",
  "ours-stream": "here, `messages`",
  before: "here, before"
}

/** Those whose profiles are shown: what Node takes, what is taken today, and what is taken here. */
const profiled: ReadonlyArray<ServerName> = ["raw", "ws", "ours"]

/** Where a goal is not reached, or where there is none. */
const isShort = (results: Results): boolean => {
  const all = verdicts(results)
  return all.length === 0 || all.some(({ reached }) => reached !== "goal")
}

const tableOf = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("")

const times = (value: number | undefined): string => (value === undefined ? "–" : `${figure(value)} ×`)

const costRow = (results: Results, servers: ReadonlyArray<ServerName>): ReadonlyArray<string> => {
  const { title } = workloadNamed(results.workload)
  const cells = servers.map((server) => {
    const cost = typical(results, server, "cost")
    return cost === undefined ? "–" : figure(cost)
  })
  return [
    `${results.workload} ${title}`,
    unitOf(workloadNamed(results.workload)).cost,
    ...cells,
    times(ratio(results, "ours", "ws")?.median)
  ]
}

const coldRow = (results: Results, servers: ReadonlyArray<ServerName>): ReadonlyArray<ReadonlyArray<string>> => {
  const cells = servers.map((server) => typical(results, server, "cold"))
  if (cells.every((cold) => cold === undefined)) return []
  const [ours, theirs] = [typical(results, "ours", "cold"), typical(results, "ws", "cold")]
  const shown = cells.map((cold) => (cold === undefined ? "–" : figure(cold)))
  const against = ours === undefined || theirs === undefined ? undefined : theirs / ours
  const unit = unitOf(workloadNamed(results.workload)).cost
  return [[`${results.workload}, the first second of a process`, unit, ...shown, times(against)]]
}

const verdictRow = ({ floor, goal, reached, value, what, workload }: Verdict): ReadonlyArray<string> => [
  workload,
  what,
  figure(value),
  floor === undefined ? "–" : figure(floor),
  figure(goal),
  reached === "neither" ? (floor === undefined ? "not reached" : "**below the floor**") : `${reached} reached`
]

/** Costs of all servers that were measured, targets, and what it was measured on. */
export const markdown = ({ absent, machine, results, versions }: Kept): string => {
  const servers = (Object.keys(headings) as ReadonlyArray<ServerName>).filter((name) =>
    results.some((result) => serversOf(result).includes(name))
  )
  const costs = results.flatMap((result) => [costRow(result, servers), ...coldRow(result, servers)])
  const targets = results.flatMap(verdicts).map(verdictRow)
  const profiles = results.filter(isShort).flatMap((result) =>
    profileRows(result)
      .filter(([server]) => profiled.includes(server))
      .map(([server, cells]) => [`${result.workload} ${headings[server]}`, ...cells])
  )
  const growth = growthVerdicts(results).map((line) => `- ${line}\n`)
  const days = [...new Set(results.map(({ date }) => date.slice(0, 10)))].sort()
  const missing = Object.entries(absent).map(([name, reason]) => ` ${name} is missing: ${reason}.`)
  return [
    tableOf(["", "", ...servers.map((name) => headings[name]), "here against `ws`"], costs),
    ...(targets.length === 0 ? [] : ["\n", tableOf(["", "here", "", "floor", "goal", ""], targets)]),
    ...(growth.length === 0 ? [] : ["\n", ...growth]),
    `\nMedians of ${rounds(results)} rounds, also of the ratios in each round, ${days.join(" and ")}: ${machine.cpu}, ${machine.cores} cores` +
      `${machine.pinned ? "" : ", processes not pinned"}, ${machine.system}, Node ${machine.node.slice(1)}; ` +
      `${Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(", ")}.${missing.join("")}\n`,
    ...(profiles.length === 0 ? [] : ["\n", tableOf(["one run with a profiler, µs", "all", ...parts], profiles)])
  ].join("")
}

const rounds = (results: ReadonlyArray<Results>): string => {
  const counts = results.map((result) => result.rounds.length)
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  return least === most ? String(least) : `${least} to ${most}`
}
