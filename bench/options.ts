import { parseArgs } from "node:util"
import { isServerName, type ServerName, serverNames } from "./peers.js"
import { workloadNames, workloadsCalled } from "./workloads.js"

export const usage = `npm run bench -- [workloads] [options]

Workloads: P1 … P14, or one of a group, as P9/tls; unless told otherwise P2 P3 P5 P10; "all".

  --workloads P2,P3   the same
  --servers ours,ws   these, unless told otherwise all that the machine has:
                      ${serverNames.join(", ")}
  --rounds N          runs of each server and workload (5); 0 for nothing but a profile
  --seconds S         length of the measured window (2)
  --handshakes N      handshakes of the warm-up in P8 (20000)
  --before DIR        beside them ours as it is in DIR, a checkout of another commit with its packages installed
  --json FILE         keeps every sample, with machine, versions and date; workloads that are in FILE are replaced
  --profile           one more run of each on Node with V8's profiler, which says where the time goes
  --chart FILE        draws an SVG of the ratios
  --readme FILE       measures nothing: makes the README's table, and a --chart, of what --json has kept in FILE
  --guard             for CI: ours and ws in shorter runs; exits with 1 when ours is under 80 % of a floor
  --self-test         proves that servers and clients which lie are caught`

export type Mode = "report" | "guard" | "selfTest" | "readme" | "help"

export interface Options {
  readonly mode: Mode
  readonly workloads: ReadonlyArray<string>
  /** Undefined: all that can be had. */
  readonly servers: ReadonlyArray<ServerName> | undefined
  readonly rounds: number
  readonly seconds: number
  readonly handshakes: number
  readonly before: string | undefined
  readonly json: string | undefined
  readonly profile: boolean
  readonly chart: string | undefined
  readonly readme: string | undefined
}

const guarded = ["P2", "P3", "P5", "P10"]

/** One of each kind, and of each way to check. */
const tested = ["P3", "P7/8", "P8/closed", "P9/plain", "P10", "P11", "P12/receive/64", "P12/send/16K"]

/** Throws an Error whose message is for the person at the keyboard. */
export const parseOptions = (args: ReadonlyArray<string>): Options => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      workloads: { type: "string" },
      servers: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      handshakes: { type: "string" },
      before: { type: "string" },
      json: { type: "string" },
      chart: { type: "string" },
      readme: { type: "string" },
      profile: { type: "boolean", default: false },
      guard: { type: "boolean", default: false },
      "self-test": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  const mode = values.help
    ? "help"
    : values.readme !== undefined
      ? "readme"
      : values["self-test"]
        ? "selfTest"
        : values.guard
          ? "guard"
          : "report"
  const named = [...positionals, ...(values.workloads?.split(",") ?? [])].flatMap(workloadsOf)
  return {
    mode,
    workloads: named.length > 0 ? [...new Set(named)] : mode === "selfTest" ? tested : guarded,
    // The guard judges ours against ws, whatever else is asked for.
    servers: mode === "guard" ? ["ws", "ours"] : values.servers?.split(",").map(serverOf),
    rounds: values.profile && values.rounds === "0" ? 0 : Math.ceil(positive("rounds", values.rounds, 5)),
    seconds: positive("seconds", values.seconds, mode === "guard" ? 1 : 2),
    handshakes: Math.ceil(positive("handshakes", values.handshakes, 20_000)),
    before: values.before,
    json: values.json,
    profile: values.profile,
    chart: values.chart,
    readme: values.readme
  }
}

const workloadsOf = (name: string): ReadonlyArray<string> => {
  if (name === "all") return workloadNames
  const called = workloadsCalled(name)
  if (called.length > 0) return called
  throw new Error(`no workload is called "${name}"`)
}

const serverOf = (name: string): ServerName => {
  if (isServerName(name)) return name
  throw new Error(`no server is called "${name}"`)
}

const positive = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Error(`--${name} takes a number above 0, not "${text}"`)
}
