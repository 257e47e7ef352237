import { readFileSync, writeFileSync } from "node:fs"
import { isPassed, type Verdict } from "./judge.js"
import type { Role } from "./run.js"
import type { TargetName } from "./targets.js"

/** What was measured, on the screen and in a file that a later run goes on with. */

export interface Result extends Verdict {
  readonly target: TargetName
  readonly role: Role
  readonly id: string
  readonly milliseconds: number
}

export const keyOf = ({ target, role, id }: Pick<Result, "target" | "role" | "id">): string => `${target} ${role} ${id}`

/** The results of a file; none where there is no file yet. */
export const load = (file: string): ReadonlyArray<Result> => {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ReadonlyArray<Result>
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return []
    throw error
  }
}

export const save = (file: string, results: ReadonlyArray<Result>): void =>
  writeFileSync(file, `[\n${results.map((result) => JSON.stringify(result)).join(",\n")}\n]\n`)

const columns = [
  "cases",
  "OK",
  "informational",
  "NON-STRICT",
  "WRONG CODE",
  "UNCLEAN",
  "UNIMPLEMENTED",
  "failed",
  "seconds"
] as const

type Kind = Exclude<(typeof columns)[number], "cases" | "seconds">

/** The one word that a case is counted under. */
export const kindOf = (result: Verdict): Kind => {
  if (isPassed(result)) return result.behavior === "INFORMATIONAL" ? "informational" : "OK"
  const { behavior, behaviorClose } = result
  if (behavior === "UNIMPLEMENTED") return behavior
  if (behavior === "FAILED") return "failed"
  if (behaviorClose === "WRONG CODE" || behaviorClose === "UNCLEAN") return behaviorClose
  return behaviorClose === "OK" && behavior === "NON-STRICT" ? "NON-STRICT" : "failed"
}

const line = (name: string, results: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const counted = columns.map((column) => {
    if (column === "cases") return String(results.length)
    if (column === "seconds")
      return (results.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1_000).toFixed(1)
    return String(results.filter((result) => kindOf(result) === column).length)
  })
  return [name, ...counted]
}

/** The number of a group of cases, or the name of a group of blind spots. */
export const groupNameOf = (id: string): string => id.split(".", 1)[0]!

/** A line for each target, role and group, in the order of the results; seconds are those of the cases, which run side by side. */
export const table = (results: ReadonlyArray<Result>): string => {
  const rows: Array<ReadonlyArray<string>> = [["group", ...columns]]
  const sides = new Set(results.map(({ target, role }) => `${target} ${role}`))
  for (const side of sides) {
    const own = results.filter(({ target, role }) => `${target} ${role}` === side)
    for (const group of new Set(own.map(({ id }) => groupNameOf(id)))) {
      rows.push(
        line(
          `${side} ${group}`,
          own.filter(({ id }) => groupNameOf(id) === group)
        )
      )
    }
    rows.push(line(`${side} all`, own))
  }
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "))
    .join("\n")
}

/** A line for each case that did not come out as a strict peer's does. */
export const failures = (results: ReadonlyArray<Result>): string =>
  results
    .filter((result) => !isPassed(result))
    .map((result) => `${keyOf(result)}: ${result.behavior}, close ${result.behaviorClose}: ${result.note}`)
    .join("\n")

export const summary = (results: ReadonlyArray<Result>): string => {
  const passed = results.filter(isPassed).length
  return `${passed} passed, ${results.length - passed} failed`
}
