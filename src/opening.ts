import * as Headers from "@effect/platform/Headers"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { AnySpan, ExternalSpan, Span } from "effect/Tracer"
import type { Instruments } from "./instruments.js"
import type { Outcome } from "./metricKeys.js"
import { only } from "./protocol/headers.js"
import { pathOf } from "./requestHook.js"
import { type Attributes, above, annotate, type Spans } from "./spans.js"
import type { ByteStream, Exchange, Request, Response, ResponseHead } from "./Transport.js"

/** A server's opening handshakes as they are counted and traced. */

export interface Opening extends Exchange {
  /** What runs for it has this span above it. */
  readonly span?: Span | undefined
  /** Says why the answer will be a refusal, where that is not for the answer's own reason. */
  readonly because?: ((outcome: Outcome) => void) | undefined
}

const carriers = ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"]

const isId = (text: string, length: number): boolean =>
  text.length === length && /^[0-9a-f]+$/i.test(text) && !/^0+$/.test(text)

/** The span of the peer's that a request names; undefined where it names none, or in a form that no tracer takes. */
const named = ({ headers }: Request): ExternalSpan | undefined => {
  const found: Record<string, string> = {}
  for (const name of carriers) {
    const value = only(headers, name)
    if (value !== undefined) found[name] = value
  }
  const span = Option.getOrUndefined(HttpTraceContext.fromHeaders(Headers.unsafeFromRecord(found)))
  if (span === undefined || !isId(span.spanId, 16)) return undefined
  // B3 has shorter ones too, and what is missing of them is zeros.
  const traceId = span.traceId.length === 16 ? span.traceId.padStart(32, "0") : span.traceId
  return isId(traceId, 32) ? { ...span, traceId: traceId.toLowerCase(), spanId: span.spanId.toLowerCase() } : undefined
}

/** What a request says, without its query, in which there may be secrets. */
const attributesOf = ({ headers, method, peer, target }: Request): Attributes => {
  const host = only(headers, "host") ?? ""
  const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined
  const { remote, secure } = peer
  return {
    "http.request.method": method,
    "url.scheme": secure ? "wss" : "ws",
    "url.path": pathOf(target).replace(/[?#].*$/s, ""),
    "server.address": url?.hostname,
    "server.port": url === undefined ? undefined : Number(url.port) || (secure ? 443 : 80),
    "client.address": remote?._tag === "TcpAddress" ? remote.hostname : undefined,
    "network.protocol.name": "websocket",
    "user_agent.original": only(headers, "user-agent")
  }
}

/** The span of an opening handshake: below that of its route, where there is one, or else the peer's. */
const begin = (spans: Spans, { request, services }: Exchange): Span => {
  const route = above(services)
  const parent: AnySpan | undefined = route ?? named(request)
  return spans.begin(
    "WebSocketServer.accept",
    route === undefined ? "server" : "internal",
    parent,
    attributesOf(request)
  )
}

/** The same exchange, whose end is counted and traced. */
export class Observed implements Opening {
  private readonly exchange: Exchange
  private readonly instruments: Instruments
  private readonly spans: Spans | undefined
  readonly span: Span | undefined
  readonly onSent: Exchange["onSent"]
  private reason: Outcome | undefined
  private isOver = false

  constructor(exchange: Exchange, instruments: Instruments, spans: Spans | undefined) {
    this.exchange = exchange
    this.instruments = instruments
    this.spans = spans
    this.span = spans === undefined ? undefined : begin(spans, exchange)
    this.onSent = exchange.onSent === undefined ? undefined : (sent) => exchange.onSent?.(sent)
  }

  get request() {
    return this.exchange.request
  }

  get isUpgrade() {
    return this.exchange.isUpgrade
  }

  get services() {
    return this.exchange.services
  }

  get over() {
    return this.exchange.over
  }

  because(outcome: Outcome): void {
    this.reason ??= outcome
  }

  accept(response: ResponseHead): ByteStream {
    const stream = this.exchange.accept(response)
    this.end("accepted", response.status)
    return stream
  }

  respond(response: Response): void {
    this.end(this.reason ?? "rejected", this.reason === "aborted" ? undefined : response.status)
    this.exchange.respond(response)
  }

  abort(): void {
    this.end(this.reason ?? "failed")
    this.exchange.abort()
  }

  onAbort(gone: () => void): void {
    this.exchange.onAbort(() => {
      this.because("aborted")
      gone()
    })
  }

  private end(outcome: Outcome, status?: number): void {
    if (this.isOver) return
    this.isOver = true
    this.instruments.handshake(outcome, status)
    const { span, spans } = this
    if (spans === undefined || span === undefined) return
    const type = outcome === "rejected" ? String(status) : outcome
    annotate(span, {
      "http.response.status_code": status,
      "error.type": outcome === "accepted" ? undefined : type
    })
    spans.end(span, exitOf(outcome, status))
  }
}

/** A refusal is no error of the server's, unless it says so itself. */
const exitOf = (outcome: Outcome, status: number | undefined): Exit.Exit<void, string> => {
  switch (outcome) {
    case "accepted":
      return Exit.void
    case "aborted":
      return Exit.interrupt(FiberId.none)
    case "rejected":
    case "timeout":
    case "failed":
      return status !== undefined && status < 500 ? Exit.void : Exit.fail(`${outcome} with ${status ?? "no answer"}`)
  }
}
