import { readFileSync, writeFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import type { Machine } from "./machine.js"
import type { Results } from "./results.js"
import { workloadNames } from "./workloads.js"

/** What `--json` keeps: every sample, and what they depend on. */
export interface Kept {
  readonly machine: Machine
  readonly versions: Readonly<Record<string, string>>
  /** Servers that could not be measured, with the reason. */
  readonly absent: Readonly<Record<string, string>>
  readonly results: ReadonlyArray<Results>
}

/** Undefined where there is no file yet. */
export const load = (file: string): Kept | undefined => {
  try {
    const kept = JSON.parse(readFileSync(file, "utf8"))
    if (!Array.isArray(kept?.results)) throw new Error(`${file} is nothing that this benchmark has kept`)
    // Workloads change; a name that is known no more says nothing.
    return { ...kept, results: kept.results.filter(({ workload }: Results) => workloadNames.includes(workload)) }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}

/** One sample a line. */
export const save = (file: string, kept: Kept): void => {
  const text = JSON.stringify(kept, undefined, 1)
  writeFileSync(
    file,
    `${text.replace(/\{\s+("cost"[^}]*?)\s+\}/g, (_, fields: string) => `{ ${fields.replace(/\s+/g, " ")} }`)}\n`
  )
}

/** Results of a workload take the place of older ones, which must be of the same machine and the same versions. */
export const merge = (older: Kept | undefined, newer: Kept): Kept => {
  if (older === undefined) return newer
  if (!isDeepStrictEqual([older.machine, older.versions], [newer.machine, newer.versions])) {
    throw new Error(
      "what is kept is of another machine or of other versions, which can't be compared: take another file"
    )
  }
  const named = (all: ReadonlyArray<Results>, workload: string) => all.find((result) => result.workload === workload)
  const renewed = newer.results.map((result): Results => {
    const before = named(older.results, result.workload)
    return result.rounds.length > 0 || before === undefined ? result : { ...before, profiles: result.profiles ?? {} }
  })
  const results = [...older.results.filter(({ workload }) => named(newer.results, workload) === undefined), ...renewed]
  const place = ({ workload }: Results) => workloadNames.indexOf(workload)
  return { ...newer, results: results.sort((a, b) => place(a) - place(b)) }
}
