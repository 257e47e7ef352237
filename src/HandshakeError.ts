import * as Data from "effect/Data"
import { printable } from "./printable.js"
import type { ResponseHead } from "./protocol/Handshake.js"

/** What a server answered instead of 101, of its body the first 1,048,576 bytes. */
export interface Answer {
  readonly response: ResponseHead
  readonly body: Uint8Array
}

/** Why an opening handshake failed. */
export type Reason =
  /** The server answered with something else than 101. */
  | ({ readonly _tag: "Rejected" } & Answer)
  /** The server answered with 101, but a header of it does not fit our request. */
  | {
      readonly _tag: "InvalidHeader"
      readonly header: string
      readonly problem: string
      readonly response: ResponseHead
    }
  /** The server redirected us, and its `Location` is missing or no URI that we could follow. RFC 9110 §10.2.2. */
  | ({ readonly _tag: "InvalidRedirect"; readonly problem: string } & Answer)
  /** A redirect led from `wss` to `ws`, where everybody in between could read and change everything. */
  | ({ readonly _tag: "InsecureRedirect"; readonly to: string } & Answer)
  /** A redirect led to where we had been before. */
  | ({ readonly _tag: "RedirectLoop"; readonly to: string } & Answer)
  /** There was one redirect more than `maxRedirects`. */
  | ({ readonly _tag: "TooManyRedirects"; readonly maxRedirects: number; readonly to: string } & Answer)
  /** It was not over within `openTimeout`. */
  | { readonly _tag: "Timeout"; readonly milliseconds: number }
  /** An option would have made the request malformed, or is beyond what the runtime lets us do; nothing was sent. */
  | { readonly _tag: "InvalidOption"; readonly option: string; readonly problem: string }
  /** A browser tells no program whether the server cannot be reached, refuses, or answers wrongly; other runtimes may say something. */
  | { readonly _tag: "Unexplained"; readonly said: string | undefined }

/** The opening handshake of a client failed: the server refused, or answered wrongly, or not in time. RFC 6455 §4.1. */
export class HandshakeError extends Data.TaggedError("HandshakeError")<{
  /** Without user information and query; after redirects where the last one led. */
  readonly uri: string
  /** The URI that was asked for, where redirects led away from it. */
  readonly redirectedFrom?: string | undefined
  readonly reason: Reason
}> {
  override get message() {
    const from = this.redirectedFrom === undefined ? "" : ` (redirected from ${this.redirectedFrom})`
    return `cannot open a WebSocket to ${this.uri}${from}: ${describe(this.reason)}`
  }
}

const describe = (reason: Reason): string => {
  switch (reason._tag) {
    case "Rejected":
      return advise(`the server answered with status ${reason.response.status}${preview(reason.body)}`, reason.response)
    case "InvalidHeader":
      return `the server's header ${reason.header} ${reason.problem}`
    case "InvalidRedirect":
      return `the server redirects (${reason.response.status}), but ${reason.problem}`
    case "InsecureRedirect":
      return `the server redirects to ${reason.to}, without the encryption of wss. Connect there yourself if that is right.`
    case "RedirectLoop":
      return `the server redirects to ${reason.to}, where we have been before. That is for who runs it to mend.`
    case "TooManyRedirects":
      return `the server redirects to ${reason.to} after maxRedirects (${reason.maxRedirects}) others. Give a larger maxRedirects if they are right.`
    case "Timeout":
      return `not open after openTimeout (${reason.milliseconds} ms)`
    case "InvalidOption":
      return `the option ${reason.option} ${reason.problem}`
    case "Unexplained":
      return unexplained(reason.said)
  }
}

const unexplained = (said: string | undefined): string =>
  said === undefined
    ? "the server cannot be reached, refuses, or answers wrongly. The WebSocket API does not say which; the browser's console may."
    : `the server cannot be reached, refuses, or answers wrongly; the runtime says: ${printable(said)}`

/** Adds what whoever connects can do about a status, where there is something. */
const advise = (answer: string, { status }: ResponseHead): string => {
  const advice = { 401: "Give a user in the URI, or the header Authorization.", 404: "Check the URI's path." }[status]
  if (advice === undefined) return answer
  return `${answer}${/[.!?]$/.test(answer) ? "" : "."} ${advice}`
}

/** The first line of a textual body: servers say there what they miss. */
const preview = (body: Uint8Array): string => {
  const line = new TextDecoder().decode(body.subarray(0, 200)).split(/[\r\n]/, 1)[0] ?? ""
  const shown = line.replace(/[^\x20-\x7e\u00a0-\u{10ffff}]/gu, "?").trim()
  return shown === "" || shown.startsWith("<") ? "" : `: ${shown}`
}
