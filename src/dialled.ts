import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { AnySpan } from "effect/Tracer"
import type { Engine } from "./deadlines.js"
import { HandshakeError } from "./HandshakeError.js"
import type { Outcome } from "./metricKeys.js"
import type { WebSocketUri } from "./protocol/uri.js"
import { type Attributes, above, annotate, traceparent } from "./spans.js"

/** A client's opening handshakes as they are counted and traced. */

/** The span in which a client connects, where somebody traces it. */
export const spanOf = ({ runtime, spans }: Engine): AnySpan | undefined =>
  spans === undefined ? undefined : above(runtime.context)

/** What a client's request says of that span: nothing where the user says it. */
export const propagated = <H extends ReadonlyArray<readonly [string, string]>>(
  headers: H,
  span: AnySpan | undefined
): H | ReadonlyArray<readonly [string, string]> => {
  const value = span === undefined ? undefined : traceparent(span)
  if (value === undefined || headers.some(([name]) => name.toLowerCase() === "traceparent")) return headers
  return [...headers, ["traceparent", value]]
}

/** Without user information and query, which may be secrets. */
const attributesOf = ({ hostname, port, secure, target }: WebSocketUri): Attributes => ({
  "http.request.method": "GET",
  "url.scheme": secure ? "wss" : "ws",
  "url.path": target.replace(/\?.*$/s, ""),
  "server.address": hostname,
  "server.port": port,
  "network.protocol.name": "websocket"
})

interface End {
  readonly outcome: Outcome
  readonly status?: number | undefined
  readonly error?: string | undefined
}

/** Undefined where nothing was asked. */
const endOf = (exit: Exit.Exit<unknown, unknown>): End | undefined => {
  if (Exit.isSuccess(exit)) return { outcome: "accepted", status: 101 }
  if (Exit.isInterrupted(exit)) return { outcome: "aborted", error: "aborted" }
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (!(failure instanceof HandshakeError)) return { outcome: "failed", error: tagOf(failure) }
  const { reason } = failure
  switch (reason._tag) {
    case "InvalidOption":
      return undefined
    case "Timeout":
      return { outcome: "timeout", error: reason._tag }
    case "Unexplained":
      return { outcome: "failed", error: reason._tag }
    default:
      return { outcome: "rejected", status: reason.response.status, error: reason._tag }
  }
}

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "defect"

/** The same opening, whose end is counted, and told to the span in which it is. */
export const observed = <A, E, R>(
  engine: Engine,
  uri: WebSocketUri,
  opening: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const span = spanOf(engine)
  if (span?._tag === "Span") annotate(span, attributesOf(uri))
  return Effect.onExit(opening, (exit) =>
    Effect.sync(() => {
      const end = endOf(exit)
      if (end === undefined) return
      engine.instruments("client").handshake(end.outcome, end.status)
      if (span?._tag === "Span") {
        annotate(span, { "http.response.status_code": end.status, "error.type": end.error })
      }
    })
  )
}
