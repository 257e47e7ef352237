import type { ParseError } from "effect/ParseResult"
import * as ParseResult from "effect/ParseResult"
import { printable } from "./printable.js"

/** What is wrong with a value, for the sentence of an error. */

/** Characters of a sentence that come from elsewhere. */
const maxLength = 200

const cut = (text: string): string => {
  const shown = printable(text.slice(0, maxLength + 1))
  return shown.length > maxLength ? `${shown.slice(0, maxLength)}…` : shown
}

/** The first thing that a schema does not allow, and where that stands. */
export const issueOf = ({ issue }: ParseError): string => {
  try {
    const [first] = ParseResult.ArrayFormatter.formatIssueSync(issue)
    if (first === undefined) return "it is refused"
    const path = first.path.map(String).join(".")
    return cut(path === "" ? first.message : `${path}: ${first.message}`)
  } catch {
    // Nested more deeply than can be told.
    return "something deep inside it"
  }
}

/** What was thrown. */
export const thrown = (cause: unknown): string => cut(cause instanceof Error ? cause.message : String(cause))
