import { groupNameOf, kindOf, type Result } from "./results.js"

/** The README's table of what was measured, as Markdown. */

/** What the groups are about, blind spots last. */
const subjects: Readonly<Record<string, string>> = {
  "1": "framing",
  "2": "pings and pongs",
  "3": "reserved bits",
  "4": "reserved opcodes",
  "5": "fragmentation",
  "6": "UTF-8",
  "7": "closing handshake",
  "9": "large messages, many fragments, round trips",
  "10": "fragments that a proxy makes",
  "12": "permessage-deflate, five kinds of files",
  "13": "permessage-deflate, seven sets of parameters",
  B1: "requests that a server refuses",
  B2: "answers that a client refuses",
  B3: "masking",
  B4: "lengths and limits",
  B5: "ways to end",
  B6: "what is said about permessage-deflate",
  B7: "compressed messages, right and wrong",
  B8: "much at a time"
}

const sides = [
  ["our server", "ours", "server"],
  ["our client", "ours", "client"],
  ["`ws` server", "ws", "server"],
  ["`ws` client", "ws", "client"]
] as const

/** `141 OK, 4 NON-STRICT`, the usual first and what does not occur left out. */
const cell = (results: ReadonlyArray<Result>): string => {
  const counts = new Map<string, number>([["OK", 0]])
  for (const result of results) counts.set(kindOf(result), (counts.get(kindOf(result)) ?? 0) + 1)
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${kind}`)
    .join(", ")
}

const row = (name: string, results: ReadonlyArray<Result>): string => {
  const cells = sides.map(([, target, role]) =>
    cell(results.filter((result) => result.target === target && result.role === role))
  )
  return `| ${[name, new Set(results.map(({ id }) => id)).size, ...cells].join(" | ")} |`
}

/** A line for each group that something is known of; a cell is empty where nothing was measured. */
export const markdown = (results: ReadonlyArray<Result>): string => {
  const groups = Object.keys(subjects).filter((group) => results.some(({ id }) => groupNameOf(id) === group))
  // Names like numbers come first in an object, whatever their order there.
  const rows = groups.map((group) =>
    row(
      `${group} ${subjects[group]}`,
      results.filter(({ id }) => groupNameOf(id) === group)
    )
  )
  const names = sides.map(([name]) => name)
  return [`| ${["group", "cases", ...names].join(" | ")} |`, "|---|---|---|---|---|---|", ...rows, row("all", results)]
    .map((line) => `${line}\n`)
    .join("")
}
