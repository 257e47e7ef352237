import * as Data from "effect/Data"
import type { ParseError } from "effect/ParseResult"
import { issueOf, thrown } from "./issue.js"

/** Why a value cannot be sent. */
export type EncodeReason =
  /** The schema does not allow it. */
  | { readonly _tag: "Schema"; readonly error: ParseError }
  /** The codec, or a function of the schema's, threw. */
  | { readonly _tag: "Thrown"; readonly cause: unknown }

/** A value was to be sent that its protocol does not allow. Nothing of it has been sent. */
export class EncodeError extends Data.TaggedError("EncodeError")<{
  /** The name of the codec: `JSON`. */
  readonly codec: string
  readonly value: unknown
  readonly reason: EncodeReason
}> {
  override get message() {
    const { codec, reason } = this
    return reason._tag === "Schema"
      ? `cannot send a value that its schema does not allow (${issueOf(reason.error)}): mend the value, or the schema`
      : `cannot send a value that does not become ${codec} (${thrown(reason.cause)}): mend the value, or its schema`
  }
}
