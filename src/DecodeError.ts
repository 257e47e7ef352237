import * as Data from "effect/Data"
import type { ParseError } from "effect/ParseResult"
import type { Message } from "./inbox.js"
import { issueOf, thrown } from "./issue.js"

/** Why a message is none of the protocol's. */
export type DecodeReason =
  /** It is text where the codec has binary messages, or the other way round. */
  | { readonly _tag: "MessageType"; readonly expected: "text" | "binary" }
  /** The codec makes nothing of it. */
  | { readonly _tag: "Syntax"; readonly cause: unknown }
  /** The schema does not allow it. */
  | { readonly _tag: "Schema"; readonly error: ParseError }
  /** The schema's own functions threw, or it is nested too deeply for them. */
  | { readonly _tag: "Thrown"; readonly cause: unknown }

/** A message was received that its protocol does not allow. It has been taken. */
export class DecodeError extends Data.TaggedError("DecodeError")<{
  /** The name of the codec: `JSON`. */
  readonly codec: string
  /** The message as it came. */
  readonly received: Message
  readonly reason: DecodeReason
}> {
  override get message() {
    const { received } = this
    const what =
      typeof received === "string"
        ? `a text message of ${received.length} characters`
        : `a binary message of ${received.length} bytes`
    return `received ${what} ${because(this)}; the option \`invalid\` says what becomes of such messages`
  }
}

const because = ({ codec, reason }: DecodeError): string => {
  switch (reason._tag) {
    case "MessageType":
      return `where ${codec} comes as ${reason.expected}: let the peer send that, or give the protocol another codec`
    case "Syntax":
      return `that is no ${codec} (${thrown(reason.cause)}): let the peer send ${codec}, or give the protocol another codec`
    case "Schema":
      return `that its schema does not allow (${issueOf(reason.error)}): mend what the peer sends, or the schema`
    case "Thrown":
      return `that its schema cannot decode (${thrown(reason.cause)}): mend what the peer sends, or the schema`
  }
}
