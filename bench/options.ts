import { parseArgs } from "node:util"
import { isServerName, type ServerName, serverNames } from "./run.js"
import { isWorkloadName, type WorkloadName } from "./workloads.js"

export const usage = `npm run bench -- [workloads] [options]

Workloads: P1 … P6, P10; unless told otherwise P2 P3 P5 P10.

  --only ours,ws   these servers (${serverNames.join(", ")})
  --rounds N       runs of each server and workload (5)
  --seconds S      length of the measured window (2)
  --before DIR     beside them ours as it is in DIR, a checkout of another commit with its packages installed
  --guard          for CI: ours and ws in shorter runs; exits with 1 when ours is under 80 % of a floor
  --self-test      proves that a server which answers wrong bytes is caught`

export type Mode = "report" | "guard" | "selfTest" | "help"

export interface Options {
  readonly mode: Mode
  readonly workloads: ReadonlyArray<WorkloadName>
  readonly servers: ReadonlyArray<ServerName>
  readonly rounds: number
  readonly seconds: number
  readonly before: string | undefined
}

/** Throws an Error whose message is for the person at the keyboard. */
export const parseOptions = (args: ReadonlyArray<string>): Options => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      before: { type: "string" },
      guard: { type: "boolean", default: false },
      "self-test": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  const mode = values.help ? "help" : values["self-test"] ? "selfTest" : values.guard ? "guard" : "report"
  const named = positionals.map((name) => member(name.toUpperCase(), isWorkloadName, "workload"))
  const others: ReadonlyArray<ServerName> = values.before === undefined ? [] : ["before"]
  const only = values.only?.split(",").map((name) => member(name, isServerName, "server"))
  return {
    mode,
    workloads: named.length > 0 ? named : ["P2", "P3", "P5", "P10"],
    // The guard judges ours against ws, whatever else is asked for.
    servers: mode === "guard" ? ["ws", "ours"] : [...(only ?? serverNames), ...others],
    rounds: Math.ceil(positive("rounds", values.rounds, 5)),
    seconds: positive("seconds", values.seconds, mode === "guard" ? 1 : 2),
    before: values.before
  }
}

const member = <A extends string>(name: string, is: (name: string) => name is A, kind: string): A => {
  if (is(name)) return name
  throw new Error(`no ${kind} is called "${name}"`)
}

const positive = (name: string, text: string | undefined, otherwise: number): number => {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Error(`--${name} takes a number above 0, not "${text}"`)
}
