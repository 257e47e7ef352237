import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { AnySpan } from "effect/Tracer"
import type { Connection } from "./Connection.js"
import { type Capabilities, everything } from "./capabilities.js"
import * as Deflate from "./Deflate.js"
import { makeEngine } from "./deadlines.js"
import { observed, propagated, spanOf } from "./dialled.js"
import * as Framing from "./Framing.js"
import * as Handshake from "./Handshake.js"
import { HandshakeError, type Reason } from "./HandshakeError.js"
import { InvalidUri } from "./InvalidUri.js"
import { openAlone } from "./liveConnection.js"
import { makeOffer, type OfferOptions } from "./offer.js"
import { givenUpAfter } from "./openTimeout.js"
import type { ProxyError } from "./ProxyError.js"
import type { Agreement, ClientOffer } from "./protocol/Handshake.js"
import * as uri from "./protocol/uri.js"
import * as redirects from "./redirects.js"
import { atLeastZero, type ConnectionOptions, milliseconds, resolve } from "./settings.js"
import * as Transport from "./Transport.js"
import type { TransportError } from "./TransportError.js"

/** How a client asks for one connection. */
export interface ConnectOptions extends ConnectionOptions, OfferOptions {
  /** How long looking up the host, connecting, proxies, TLS, redirects and the opening handshake may take together: 10 seconds. */
  readonly openTimeout?: Duration.DurationInput | undefined
  /** Offers compression: permessage-deflate with its defaults, or with these. Off unless told otherwise. RFC 7692. */
  readonly compression?: Deflate.Compression | undefined
  /**
   * How many redirects are followed: 10. With 0 one is an answer like any other. None leads from `wss` to `ws`, and
   * what only the first origin may know (the URI's user, `Authorization`, `Cookie`, headers with a `Redacted` value)
   * goes to no other. RFC 9110 §15.4.
   */
  readonly maxRedirects?: number | undefined
}

export type { HeaderValue } from "./offer.js"

/** Why a connection could not be opened. */
export type ConnectError = InvalidUri | HandshakeError | TransportError | ProxyError

export const defaultOpenTimeout = "10 seconds"

export const defaultMaxRedirects = 10

/** Opens connections. Programs ask for it, so that a browser, a test or another transport can take its place. */
export class WebSocketClient extends Context.Tag("effect-websockets/WebSocketClient")<
  WebSocketClient,
  {
    readonly connect: (
      uri: string | URL,
      options?: ConnectOptions
    ) => Effect.Effect<Connection, ConnectError, Scope.Scope>
    /** What its connections can do that not every runtime can: everything, except in a browser. */
    readonly capabilities: Capabilities
  }
>() {}

/**
 * Opens a connection to a server.
 *
 * Completes when the opening handshake is done. Leaving the scope closes the
 * connection with 1000, waits for the closing handshake (at most
 * `closeTimeout`) and frees the socket. Interrupting it at any point leaves
 * nothing behind.
 *
 * Fails with `InvalidUri`, with `TransportError` where the server cannot be
 * reached, with `ProxyError` where a proxy is in the way, and with
 * `HandshakeError` where the server refuses, answers wrongly, redirects to
 * where we do not follow, or takes longer than `openTimeout`.
 *
 * @param uri `ws://` or `wss://`; user information in it becomes `Authorization: Basic`. RFC 6455 §3.
 */
export const connect = (
  uri: string | URL,
  options?: ConnectOptions
): Effect.Effect<Connection, ConnectError, WebSocketClient | Scope.Scope> =>
  Effect.flatMap(WebSocketClient, (client) => client.connect(uri, options))

/** A client over whatever connector there is. Marked, so that programs for browsers need not carry it along. */
export const layer: Layer.Layer<WebSocketClient, never, Transport.Connector> = /* @__PURE__ */ Layer.effect(
  WebSocketClient,
  /* @__PURE__ */ Effect.gen(function* () {
    const connector = yield* Transport.Connector
    const framing = yield* Framing.Framing
    const handshake = yield* Handshake.Handshake
    const deflate = yield* Deflate.Deflate
    return {
      capabilities: everything,
      connect: Effect.fn("WebSocketClient.connect", { kind: "client" })(
        (input: string | URL, options: ConnectOptions = {}) =>
          open({ connector, framing, handshake, deflate }, input, options)
      )
    }
  })
)

interface Services {
  readonly connector: Context.Tag.Service<Transport.Connector>
  readonly framing: Framing.Service
  readonly handshake: Handshake.Service
  readonly deflate: Deflate.Service | undefined
}

const open = (
  services: Services,
  input: string | URL,
  options: ConnectOptions
): Effect.Effect<Connection, ConnectError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const target = uri.parse(input)
      if (typeof target === "string") {
        return yield* new InvalidUri({ uri: uri.withoutSecrets(String(input)), problem: target })
      }
      const settings = resolve(options)
      const timeout = milliseconds("openTimeout", options.openTimeout ?? defaultOpenTimeout)
      const maxRedirects = atLeastZero("maxRedirects", options.maxRedirects ?? defaultMaxRedirects)

      const scope = yield* Effect.scope
      // The transport's own scope: it ends when dialling fails, and otherwise behind the closing handshake.
      const transport = yield* Scope.make()
      const engine = yield* makeEngine
      const span = spanOf(engine)
      const attempt: Attempt = { services, options, transport, maxRedirects, span, journey: [target] }
      const opening = givenUpAfter(timeout, dial(attempt), (reason) => refuse(attempt, reason))
      const { offer, agreement, stream } = yield* Effect.onError(observed(engine, target, restore(opening)), (cause) =>
        Scope.close(transport, Exit.failCause(cause))
      )
      const connection = openAlone(engine, {
        role: "client",
        stream,
        settings,
        codecs: agreement.codecs,
        maskingKeys: services.framing.maskingKeys,
        pingPayloads: services.framing.pingPayloads,
        handshake: () => ({
          request: services.handshake.request(offer),
          response: agreement.response,
          subprotocol: Option.fromNullable(agreement.subprotocol),
          extensions: agreement.extensions
        })
      })
      engine.spans?.connection("client", connection.id, connection.lifecycle, span)
      yield* Scope.addFinalizerExit(scope, (exit) => Effect.zipRight(connection.close(), Scope.close(transport, exit)))
      return connection
    })
  )

/** One call of `connect` on its way: the URIs so far grow with each redirect. */
interface Attempt {
  readonly services: Services
  readonly options: ConnectOptions
  readonly transport: Scope.Scope
  readonly maxRedirects: number
  readonly span: AnySpan | undefined
  journey: redirects.Journey
}

interface Opened {
  readonly _tag: "Opened"
  readonly offer: ClientOffer
  readonly agreement: Agreement
  readonly stream: Transport.ByteStream
}

const refuse = ({ journey }: Attempt, reason: Reason): HandshakeError => {
  const redirectedFrom = journey.length === 1 ? undefined : uri.show(journey[0])
  return new HandshakeError({ uri: uri.show(redirects.last(journey)), redirectedFrom, reason })
}

/** Asks one server after the other, until one of them takes us. */
const dial = Effect.fnUntraced(function* (attempt: Attempt) {
  for (;;) {
    const result = yield* ask(attempt)
    if (result._tag === "Opened") return result
    attempt.journey = [...attempt.journey, result.to]
  }
})

const ask = Effect.fnUntraced(function* (attempt: Attempt) {
  const { services, options, journey, maxRedirects } = attempt
  const { handshake, framing, deflate, connector } = services
  const target = redirects.last(journey)
  const { secure, hostname, port } = target
  const isForeign = redirects.hasLeft(journey)
  const extensions = [
    ...(options.extensions ?? framing.extensions),
    ...Deflate.extensions(deflate, options.compression)
  ]
  const made = makeOffer(target, options, { key: handshake.key(), extensions, isForeign })
  if ("_tag" in made) return yield* refuse(attempt, made)
  const offer = { ...made, headers: propagated(made.headers, attempt.span) }
  // Each server has a scope of its own: nothing of one is left when the next is asked.
  const scope = yield* Scope.fork(attempt.transport, ExecutionStrategy.sequential)
  const reply = yield* connector
    .exchange({ secure, hostname, port, isForeign }, handshake.request(offer))
    .pipe(Scope.extend(scope))
  const agreement = handshake.verify(offer, reply.response)
  if (agreement._tag === "Agreement" && reply._tag === "Switched") {
    const opened: Opened = { _tag: "Opened", offer, agreement, stream: reply.stream }
    return opened
  }
  yield* Effect.uninterruptible(Scope.close(scope, Exit.void))
  if (reply._tag === "Switched" || maxRedirects === 0 || !redirects.isRedirect(reply.response)) {
    return yield* refuse(attempt, explain(agreement, reply))
  }
  const to = redirects.next(journey, reply, maxRedirects)
  if ("_tag" in to) return yield* refuse(attempt, to)
  return { _tag: "Redirect" as const, to }
})

const explain = (agreement: ReturnType<Handshake.Service["verify"]>, reply: Transport.Reply): Reason => {
  const { response } = reply
  if (agreement._tag === "Refusal" && agreement.reason === "header") {
    return { _tag: "InvalidHeader", header: agreement.header, problem: agreement.problem, response }
  }
  return { _tag: "Rejected", response, body: reply._tag === "Answered" ? reply.body : new Uint8Array(0) }
}
