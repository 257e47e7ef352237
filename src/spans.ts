import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Counted } from "./instruments.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Role } from "./protocol/Frame.js"
import { isClean } from "./protocol/Protocol.js"

/** Spans of handshakes and connections, made where there is no fiber, by whoever traces. */

export type Attributes = Readonly<Record<string, unknown>>

/** A connection as its span has it. */
export interface Spanned extends Counted {
  readonly onClosed: (run: () => void) => () => void
  readonly error: () => ConnectionClosed
}

const nobody = Context.get(DefaultServices.liveServices, Tracer.Tracer)

export class Spans {
  private readonly tracer: Tracer.Tracer
  private readonly clock: Clock.Clock
  private readonly fiberRefs: FiberRefs.FiberRefs

  constructor(tracer: Tracer.Tracer, clock: Clock.Clock, fiberRefs: FiberRefs.FiberRefs) {
    this.tracer = tracer
    this.clock = clock
    this.fiberRefs = fiberRefs
  }

  private get now(): bigint {
    const isTimed = FiberRefs.getOrDefault(this.fiberRefs, FiberRef.currentTracerTimingEnabled)
    return isTimed ? this.clock.unsafeCurrentTimeNanos() : BigInt(0)
  }

  begin(name: string, kind: Tracer.SpanKind, parent: Tracer.AnySpan | undefined, attributes: Attributes): Tracer.Span {
    const span = this.tracer.span(name, Option.fromNullable(parent), Context.empty(), [], this.now, kind)
    for (const [key, value] of FiberRefs.getOrDefault(this.fiberRefs, FiberRef.currentTracerSpanAnnotations)) {
      span.attribute(key, value)
    }
    annotate(span, attributes)
    return span
  }

  end(span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): void {
    span.end(this.now, exit)
  }

  /** The span of a connection, from here until nothing is left of it. */
  connection(role: Role, id: number, connection: Spanned, parent: Tracer.AnySpan | undefined): Tracer.Span {
    const name = role === "server" ? "WebSocketServer.connection" : "WebSocketClient.connection"
    const span = this.begin(name, "internal", parent, {
      "network.protocol.name": "websocket",
      "websocket.connection.id": id
    })
    connection.onClosed(() => {
      annotate(span, ending(connection))
      const error = connection.error()
      this.end(span, isClean(error.closure) ? Exit.void : Exit.fail(error))
    })
    return span
  }
}

export const annotate = (span: Tracer.Span, attributes: Attributes): void => {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) span.attribute(key, value)
  }
}

/** What is known of a connection when it is over. */
const ending = (connection: Spanned): Attributes => {
  const { closure } = connection.error()
  const { cause, initiator, received, sent } = closure
  return {
    "websocket.close.initiator": initiator,
    "websocket.close.received": received?.code,
    "websocket.close.sent": sent?.code,
    "websocket.messages.received": connection.messagesReceived,
    "websocket.messages.sent": connection.outbox.messagesSent,
    "websocket.bytes.received": connection.bytesReceived,
    "websocket.bytes.sent": connection.outbox.bytesSent,
    "error.type": isClean(closure)
      ? undefined
      : (cause?._tag ?? String(received?.code ?? sent?.code ?? CloseCode.AbnormalClosure))
  }
}

/** A context in which what runs has this span above it. */
export const under = (context: Context.Context<never>, span: Tracer.AnySpan | undefined): Context.Context<never> =>
  span === undefined ? context : Context.add(context, Tracer.ParentSpan, span)

/** The span that stands in a context, if one does. */
export const above = (context: Context.Context<never> | undefined): Tracer.AnySpan | undefined =>
  context === undefined ? undefined : Option.getOrUndefined(Context.getOption(context, Tracer.ParentSpan))

/** Nothing where nobody traces: with Effect's own tracer, whose spans reach nobody, or with none. */
export const spansOf = (fiberRefs: FiberRefs.FiberRefs, clock: Clock.Clock): Spans | undefined => {
  if (!FiberRefs.getOrDefault(fiberRefs, FiberRef.currentTracerEnabled)) return undefined
  const services = FiberRefs.getOrDefault(fiberRefs, DefaultServices.currentServices)
  const tracer = Context.get(services, Tracer.Tracer)
  return tracer === nobody ? undefined : new Spans(tracer, clock, fiberRefs)
}

/** The header `traceparent` that makes a span the parent of what the server does. W3C Trace Context §3.2. */
export const traceparent = ({ sampled, spanId, traceId }: Tracer.AnySpan): string | undefined =>
  /^[0-9a-f]{32}$/.test(traceId) && /^[0-9a-f]{16}$/.test(spanId)
    ? `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`
    : undefined
