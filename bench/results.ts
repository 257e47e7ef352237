import type { Sample, ServerName } from "./run.js"
import { type Workload, type WorkloadName, workloadNamed } from "./workloads.js"

/** One round's samples by server; a server is missing where its run failed. */
export type Round = ReadonlyMap<ServerName, Sample>

export interface Results {
  readonly workload: WorkloadName
  readonly rounds: ReadonlyArray<Round>
  /** Why a server has no figures in this workload. */
  readonly failures: ReadonlyMap<ServerName, string>
}

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
 * How much less CPU time per message `server` needs than `reference`. Taken round by round, so that a machine which
 * changes its pace between two rounds doesn't change the figure. Undefined when no round has both.
 */
export const ratio = ({ rounds }: Results, server: ServerName, reference: ServerName): Ratio | undefined => {
  const ratios = rounds.flatMap((round) => {
    const [mine, theirs] = [round.get(server), round.get(reference)]
    return mine && theirs ? [theirs.serverMicros / mine.serverMicros] : []
  })
  const ascending = sorted(ratios)
  const [least, most] = [ascending[0], ascending.at(-1)]
  return least === undefined || most === undefined ? undefined : { median: median(ratios), least, most }
}

export const guardMinimum = ({ target }: Workload): number => Math.max(target.floor * 0.8, target.never ?? 0)

const figure = (value: number): string => value.toFixed(value < 1 ? 3 : value < 10 ? 2 : 1)

const row = (cells: ReadonlyArray<string>): string =>
  [16, 13, 13, 14, 13, 14].map((width, i) => (i === 0 ? "  " : "") + pad(cells[i] ?? "", width, i === 0)).join("")

const pad = (cell: string, width: number, left: boolean): string => (left ? cell.padEnd(width) : cell.padStart(width))

/** A workload's table, and what it says about the targets of ours. */
export const table = (results: Results, servers: ReadonlyArray<ServerName>): string => {
  const { title } = workloadNamed(results.workload)
  const lines = servers.map((server) => {
    const failure = results.failures.get(server)
    if (failure !== undefined) return `  ${server.padEnd(16)}failed: ${failure}`
    const samples = results.rounds.flatMap((round) => round.get(server) ?? [])
    const of = (key: keyof Sample) => median(samples.map((sample) => sample[key]))
    const against = ratio(results, server, "ws")
    return row([
      server,
      figure(of("serverMicros")),
      figure(of("loadMicros")),
      Math.round(of("messagesPerSecond")).toLocaleString("en"),
      against ? figure(against.median) : "–",
      against ? `${figure(against.least)}–${figure(against.most)}` : "–"
    ])
  })
  return [
    `${results.workload}  ${title}`,
    row(["", "server CPU", "load CPU", "messages/s", "against ws", "least–most"]),
    row(["", "µs/message", "µs/message", "", "", ""]),
    ...lines,
    ...verdict(results).map((line) => `  ${line}`)
  ].join("\n")
}

const verdict = (results: Results): ReadonlyArray<string> => {
  const { floor, goal, goalOfRaw } = workloadNamed(results.workload).target
  const againstWs = ratio(results, "ours", "ws")
  const againstRaw = ratio(results, "ours", "raw")
  const againstBefore = ratio(results, "ours", "before")
  const met = (value: number, least: number): string => (value >= least ? "met" : "NOT met")
  const lines: Array<string> = []
  if (againstWs) {
    const { median: value } = againstWs
    lines.push(
      `ours against ws ${figure(value)}: floor ${floor} ${met(value, floor)}, goal ${goal} ${met(value, goal)}`
    )
  }
  if (againstRaw && goalOfRaw !== undefined) {
    const { median: value } = againstRaw
    lines.push(`ours against raw ${figure(value)}: goal ${goalOfRaw} ${met(value, goalOfRaw)}`)
  }
  if (againstBefore) {
    const { median: value, least, most } = againstBefore
    lines.push(`ours against before ${figure(value)} (${figure(least)}–${figure(most)})`)
  }
  return lines
}
