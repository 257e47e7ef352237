import { parseArgs } from "node:util"
import { groupOf } from "./cases/index.js"
import type { Role } from "./run.js"
import type { TargetName } from "./targets.js"

/** The command line. */

export interface Options {
  readonly roles: ReadonlyArray<Role>
  readonly target: TargetName
  readonly jobs: number
  readonly json: string | undefined
  /** The file whose results become the README's table; nothing is run then. */
  readonly readme: string | undefined
  /** Of a case and of a blind spot. */
  readonly isWanted: (test: { readonly id: string }) => boolean
}

export const usage = `tsx test/conformance/main.ts [options] [cases, as 1.* or 6.4.1, and blind spots, as B1.*]
  --role server|client   which of the target's roles is tested: both unless told otherwise
  --target ours|ws       who is tested: ours
  --jobs N               cases at a time: 4
  --quick                groups 1-7 and 10, a sample of 9, 12 and 13, and the blind spots
  --json FILE            keeps the results there; what has a verdict in it is not run again
  --readme FILE          runs nothing: makes a table of such results and puts it between the README's
                         marks <!-- conformance --> and <!-- /conformance -->, or shows it where there are none`

/** Each kind of case, file and set of parameters once, mostly the short ones. */
const sample = new Set([
  ...["9.1.3", "9.2.3", "9.3.4", "9.4.4", "9.5.4", "9.6.4", "9.7.3", "9.8.3"],
  ...["12.1.1", "12.2.3", "12.3.5", "12.4.11", "12.5.4"],
  ...["13.1.2", "13.2.4", "13.3.4", "13.4.3", "13.5.8", "13.6.11", "13.7.5"]
])

export const isQuick = (id: string): boolean =>
  groupOf(id) <= 7 || groupOf(id) === 10 || sample.has(id) || id.startsWith("B")

/** A glob in which a star stands for anything. */
const globOf = (glob: string): RegExp => new RegExp(`^${glob.replaceAll(".", "\\.").replaceAll("*", ".*")}$`)

const oneOf = <A extends string>(name: string, value: string, allowed: ReadonlyArray<A>): A => {
  const found = allowed.find((word) => word === value)
  if (found === undefined) throw new Error(`--${name} is ${value}: give ${allowed.join(" or ")}`)
  return found
}

/** Throws an error whose message is for the person who typed it. */
export const parse = (args: ReadonlyArray<string>): Options => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      role: { type: "string" },
      target: { type: "string", default: "ours" },
      jobs: { type: "string", default: "4" },
      json: { type: "string" },
      readme: { type: "string" },
      quick: { type: "boolean", default: false }
    }
  })
  const jobs = Number(values.jobs)
  if (!Number.isInteger(jobs) || jobs < 1) throw new Error(`--jobs is ${values.jobs}: give a whole number above 0`)
  if (positionals.some((glob) => !/^B?[\d.*a-z]+$/.test(glob))) {
    throw new Error("cases are numbers, dots and stars, and blind spots have a B before that")
  }
  const globs = positionals.map(globOf)
  return {
    roles: values.role === undefined ? ["server", "client"] : [oneOf("role", values.role, ["server", "client"])],
    target: oneOf("target", values.target, ["ours", "ws"]),
    jobs,
    json: values.json,
    readme: values.readme,
    isWanted: ({ id }) => (globs.length === 0 || globs.some((glob) => glob.test(id))) && (!values.quick || isQuick(id))
  }
}
