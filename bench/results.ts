import { type ServerName, serverNames } from "./peers.js"
import { parts } from "./profile.js"
import type { Sample } from "./run.js"
import { growths, type Target, unitOf, type Workload, workloadNamed } from "./workloads.js"

type ByServer<A> = Readonly<Partial<Record<ServerName, A>>>

/** One round's samples; a server is missing where its run failed. */
export type Round = ByServer<Sample>

export interface Results {
  readonly workload: string
  /** When it was measured, and of which commit. */
  readonly date: string
  readonly commit: string
  readonly rounds: ReadonlyArray<Round>
  /** Why a server has no figures in this workload. */
  readonly failures: ByServer<string>
  /** A run of its own, with a profiler at work. */
  readonly profiles?: ByServer<Sample>
}

type Figure = Exclude<keyof Sample, "shares">

export interface Ratio {
  readonly median: number
  readonly least: number
  readonly most: number
}

const sorted = (values: ReadonlyArray<number>): ReadonlyArray<number> => [...values].sort((a, b) => a - b)

export const median = (values: ReadonlyArray<number>): number => {
  const ascending = sorted(values)
  const middle = ascending.length >> 1
  const upper = ascending[middle] ?? Number.NaN
  return ascending.length % 2 === 1 ? upper : (upper + (ascending[middle - 1] ?? Number.NaN)) / 2
}

/**
 * How much less `server` costs than `reference`. Taken round by round, so that a machine which changes its pace between
 * two rounds doesn't change the figure. Undefined when no round has both.
 */
export const ratio = ({ rounds }: Results, server: ServerName, reference: ServerName): Ratio | undefined => {
  const ratios = rounds.flatMap((round) => {
    const [mine, theirs] = [round[server], round[reference]]
    return mine && theirs ? [theirs.cost / mine.cost] : []
  })
  const ascending = sorted(ratios)
  const [least, most] = [ascending[0], ascending.at(-1)]
  return least === undefined || most === undefined ? undefined : { median: median(ratios), least, most }
}

/** The median of what a server's samples say; undefined where there are none. */
export const typical = ({ rounds }: Results, server: ServerName, key: Figure): number | undefined => {
  const values = rounds.flatMap((round) => round[server]?.[key] ?? [])
  return values.length === 0 ? undefined : median(values)
}

/** In the order of the list of peers. */
export const serversOf = ({ failures, rounds }: Results): ReadonlyArray<ServerName> => {
  const known = new Set([...Object.keys(failures), ...rounds.flatMap((round) => Object.keys(round))])
  return [...serverNames, "before" as const].filter((name) => known.has(name))
}

/** What `--guard` wants of a workload against ws. */
export const guardMinimum = ({ targets }: Workload): number =>
  Math.max(
    ...targets.map((target) =>
      target._tag === "Ratio" && target.against === "ws" ? Math.max((target.floor ?? 0) * 0.8, target.never ?? 0) : 0
    )
  )

export const figure = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(value < 1 ? 3 : value < 10 ? 2 : 1)

export interface Verdict {
  readonly workload: string
  /** `against ws` */
  readonly what: string
  readonly value: number
  readonly floor: number | undefined
  readonly goal: number
  readonly reached: "goal" | "floor" | "neither"
}

const judge = (value: number, goal: number, floor: number | undefined, isMore: boolean): Verdict["reached"] => {
  const isMet = (least: number) => (isMore ? value >= least : value <= least)
  return isMet(goal) ? "goal" : floor !== undefined && isMet(floor) ? "floor" : "neither"
}

const verdictOf = (results: Results, target: Target): ReadonlyArray<Verdict> => {
  const { workload } = results
  if (target._tag === "Bytes") {
    const { floor, goal } = target
    const value = typical(results, "ours", "cost")
    if (value === undefined) return []
    return [{ workload, what: "bytes", value, floor, goal, reached: judge(value, goal, floor, false) }]
  }
  const { against, floor, goal } = target
  const value = ratio(results, "ours", against)?.median
  if (value === undefined) return []
  return [{ workload, what: `against ${against}`, value, floor, goal, reached: judge(value, goal, floor, true) }]
}

/** Each target that has figures: reached or not. */
export const verdicts = (results: Results): ReadonlyArray<Verdict> =>
  workloadNamed(results.workload).targets.flatMap((target) => verdictOf(results, target))

/** How far a server's cost at each size is from that at the second size, as parts of it; undefined where one of them is missing. */
const growthOf = (
  all: ReadonlyArray<Results>,
  names: ReadonlyArray<string>,
  server: ServerName
): ReadonlyArray<number | undefined> => {
  const costs = names.map((name) => {
    const results = all.find(({ workload }) => workload === name)
    return results && typical(results, server, "cost")
  })
  const base = costs[1]
  return costs.map((cost) => (cost === undefined || base === undefined ? undefined : cost / base - 1))
}

const percent = (change: number): string => `${change < 0 ? "−" : "+"}${Math.abs(change * 100).toFixed(0)} %`

/** What becomes of the cost at other sizes, and of bare Node's. */
export const growthVerdicts = (all: ReadonlyArray<Results>): ReadonlyArray<string> =>
  growths.flatMap(({ names, within }) => {
    const bare = growthOf(all, names, "raw")
    return growthOf(all, names, "ours").flatMap((change, i) => {
      if (change === undefined || i === 1) return []
      const verdict = `${Math.abs(change) <= within ? "flat" : "NOT flat"} (± ${within * 100} %)`
      const beside = bare[i] === undefined ? "" : `; bare Node ${percent(bare[i])}`
      return [`${names[i]}: ${percent(change)} of ${names[1]}, ${verdict}${beside}`]
    })
  })

export const describe = ({ floor, goal, reached, value, what }: Verdict): string => {
  const floors =
    floor === undefined ? "" : `floor ${figure(floor)} ${reached === "neither" ? "NOT reached" : "reached"}, `
  return `ours ${what} ${figure(value)}: ${floors}goal ${figure(goal)} ${reached === "goal" ? "reached" : "NOT reached"}`
}

const widths = [16, 14, 11, 14, 12, 14, 14]

const row = (cells: ReadonlyArray<string>): string =>
  `  ${widths.map((width, i) => (i === 0 ? (cells[i] ?? "").padEnd(width) : (cells[i] ?? "").padStart(width))).join("")}`.trimEnd()

/** A workload's table, and what it says about the targets of ours. */
export const table = (results: Results): string => {
  const workload = workloadNamed(results.workload)
  const { cost, rate } = unitOf(workload)
  const servers = serversOf(results)
  const hasCold = servers.some((server) => typical(results, server, "cold") !== undefined)
  const lines = servers.map((server) => {
    const failure = results.failures[server]
    if (failure !== undefined) return `  ${server.padEnd(16)}failed: ${failure}`
    const of = (key: Figure) => figure(typical(results, server, key) ?? Number.NaN)
    const against = ratio(results, server, "ws")
    return row([
      server,
      of("cost"),
      of("load"),
      speed(workload, typical(results, server, "perSecond") ?? Number.NaN),
      against ? figure(against.median) : "–",
      against ? `${figure(against.least)}–${figure(against.most)}` : "–",
      hasCold ? of("cold") : ""
    ])
  })
  return [
    `${results.workload}  ${workload.title}`,
    row(["", "cost", "load CPU", rate, "against ws", "least–most", hasCold ? "first second" : ""]),
    row(["", cost, "µs", "", "", "", hasCold ? cost : ""]),
    ...lines,
    ...profileLines(results),
    ...verdicts(results).map((verdict) => `  ${describe(verdict)}`),
    ...againstBefore(results)
  ].join("\n")
}

/** A row for each server that was profiled: in the unit of its cost, where that goes. */
export const profileRows = ({ profiles = {} }: Results): ReadonlyArray<readonly [ServerName, ReadonlyArray<string>]> =>
  serverNames.flatMap((server) => {
    const sample = profiles[server]
    if (sample === undefined) return []
    const { cost, shares = {} } = sample
    const cells = parts.map((part) => ((shares[part] ?? 0) >= 0.005 ? figure(cost * (shares[part] ?? 0)) : "–"))
    return [[server, [figure(cost), ...cells]]]
  })

const profileLines = (results: Results): ReadonlyArray<string> => {
  const rows = profileRows(results)
  if (rows.length === 0) return []
  const line = (first: string, cells: ReadonlyArray<string>) =>
    `  ${first.padEnd(16)}${cells.map((cell, i) => cell.padStart(i === 1 ? 21 : 11)).join("")}`
  return [line("of a profile", ["all", ...parts]), ...rows.map(([server, cells]) => line(server, cells))]
}

/** How much in a second; how long it took where that is the question. */
const speed = (workload: Workload, perSecond: number): string => {
  switch (workload.kind) {
    case "memory":
      return ""
    case "arrivals":
      return `${figure(workload.connections / perSecond)} s`
    default:
      return Math.round(perSecond).toLocaleString("en")
  }
}

/** All ratios against ws on one page. */
export const ratios = (all: ReadonlyArray<Results>): string => {
  const servers = serverNames.filter((name) => name !== "ws" && all.some((results) => ratio(results, name, "ws")))
  if (servers.length === 0) return ""
  const line = (first: string, cells: ReadonlyArray<string>) =>
    `  ${first.padEnd(22)}${cells.map((cell, i) => cell.padStart(Math.max(7, servers[i]?.length ?? 0) + 2)).join("")}`
  const rows = all.map((results) =>
    line(
      results.workload,
      servers.map((name) => {
        const against = ratio(results, name, "ws")
        return against ? figure(against.median) : "–"
      })
    )
  )
  return ["against ws", line("", servers), ...rows].join("\n")
}

const againstBefore = (results: Results): ReadonlyArray<string> => {
  const against = ratio(results, "ours", "before")
  if (against === undefined) return []
  const { median: value, least, most } = against
  return [`  ours against before ${figure(value)} (${figure(least)}–${figure(most)})`]
}
