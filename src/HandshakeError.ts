import * as Data from "effect/Data"
import type { ResponseHead } from "./protocol/Handshake.js"

/** Why an opening handshake failed. */
export type Reason =
  /** The server answered with something else than 101. */
  | { readonly _tag: "Rejected"; readonly response: ResponseHead; readonly body: Uint8Array }
  /** The server answered with 101, but a header of it does not fit our request. */
  | {
      readonly _tag: "InvalidHeader"
      readonly header: string
      readonly problem: string
      readonly response: ResponseHead
    }
  /** It was not over within `openTimeout`. */
  | { readonly _tag: "Timeout"; readonly milliseconds: number }
  /** An option would have made the request malformed; nothing was sent. */
  | { readonly _tag: "InvalidOption"; readonly option: string; readonly problem: string }

/** The opening handshake of a client failed: the server refused, or answered wrongly, or not in time. RFC 6455 §4.1. */
export class HandshakeError extends Data.TaggedError("HandshakeError")<{
  /** Without user information and query. */
  readonly uri: string
  readonly reason: Reason
}> {
  override get message() {
    return `cannot open a WebSocket to ${this.uri}: ${describe(this.reason)}`
  }
}

const describe = (reason: Reason): string => {
  switch (reason._tag) {
    case "Rejected":
      return `the server answered with status ${reason.response.status}${preview(reason.body)}`
    case "InvalidHeader":
      return `the server's header ${reason.header} ${reason.problem}`
    case "Timeout":
      return `not open after openTimeout (${reason.milliseconds} ms)`
    case "InvalidOption":
      return `the option ${reason.option} ${reason.problem}`
  }
}

/** The first line of a textual body: servers say there what they miss. */
const preview = (body: Uint8Array): string => {
  const line = new TextDecoder().decode(body.subarray(0, 200)).split(/[\r\n]/, 1)[0] ?? ""
  const printable = line.replace(/[^\x20-\x7e\u00a0-\u{10ffff}]/gu, "?").trim()
  return printable === "" || printable.startsWith("<") ? "" : `: ${printable}`
}
