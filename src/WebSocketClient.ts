import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Connection } from "./Connection.js"
import * as Deflate from "./Deflate.js"
import { makeEngine } from "./deadlines.js"
import * as Framing from "./Framing.js"
import * as Handshake from "./Handshake.js"
import { HandshakeError, type Reason } from "./HandshakeError.js"
import { InvalidUri } from "./InvalidUri.js"
import { openAlone } from "./liveConnection.js"
import type { ClientOffer } from "./protocol/Handshake.js"
import { areTokens, isToken, isValue } from "./protocol/headers.js"
import * as uri from "./protocol/uri.js"
import * as utf8 from "./protocol/utf8.js"
import { type ConnectionOptions, milliseconds, resolve } from "./settings.js"
import * as Transport from "./Transport.js"
import type { TransportError } from "./TransportError.js"

/** How a client asks for one connection. */
export interface ConnectOptions extends ConnectionOptions {
  /** How long connecting, TLS and the opening handshake may take together: 10 seconds. */
  readonly openTimeout?: Duration.DurationInput | undefined
  /** What the client speaks, its first choice first; the server has to choose one of them. RFC 6455 §1.9. */
  readonly subprotocols?: ReadonlyArray<string> | undefined
  /** Offers compression: permessage-deflate with its defaults, or with these. Off unless told otherwise. RFC 7692. */
  readonly compression?: Deflate.Compression | undefined
  /** The header `Origin`, as a browser would send it: none unless told otherwise. RFC 6455 §10.2. */
  readonly origin?: string | undefined
  /** The header `User-Agent`: none unless told otherwise. */
  readonly userAgent?: string | undefined
  /** Headers beside those of the handshake. */
  readonly headers?: Readonly<Record<string, string | ReadonlyArray<string>>> | undefined
}

/** Why a connection could not be opened. */
export type ConnectError = InvalidUri | HandshakeError | TransportError

export const defaultOpenTimeout = "10 seconds"

/** Opens connections. Programs ask for it, so that a browser, a test or another transport can take its place. */
export class WebSocketClient extends Context.Tag("effect-websockets/WebSocketClient")<
  WebSocketClient,
  {
    readonly connect: (
      uri: string | URL,
      options?: ConnectOptions
    ) => Effect.Effect<Connection, ConnectError, Scope.Scope>
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
 * reached, and with `HandshakeError` where it refuses, answers wrongly or
 * takes longer than `openTimeout`.
 *
 * @param uri `ws://` or `wss://`; user information in it becomes `Authorization: Basic`. RFC 6455 §3.
 */
export const connect = (
  uri: string | URL,
  options?: ConnectOptions
): Effect.Effect<Connection, ConnectError, WebSocketClient | Scope.Scope> =>
  Effect.flatMap(WebSocketClient, (client) => client.connect(uri, options))

/** A client over whatever connector there is. */
export const layer: Layer.Layer<WebSocketClient, never, Transport.Connector> = Layer.effect(
  WebSocketClient,
  Effect.gen(function* () {
    const connector = yield* Transport.Connector
    const framing = yield* Framing.Framing
    const handshake = yield* Handshake.Handshake
    const deflate = yield* Deflate.Deflate
    return {
      connect: Effect.fn("WebSocketClient.connect")((input: string | URL, options: ConnectOptions = {}) =>
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
        return yield* new InvalidUri({ uri: withoutSecrets(String(input)), problem: target })
      }
      const name = `${target.secure ? "wss" : "ws"}://${uri.authority(target)}${target.target.replace(/\?.*$/s, "")}`
      const refuse = (reason: Reason) => new HandshakeError({ uri: name, reason })
      const offer = makeOffer(services, target, options)
      if ("_tag" in offer) return yield* refuse(offer)
      const settings = resolve(options)
      const timeout = milliseconds("openTimeout", options.openTimeout ?? defaultOpenTimeout)

      const scope = yield* Effect.scope
      // The transport's own scope: it ends when dialling fails, and otherwise behind the closing handshake.
      const transport = yield* Scope.make()
      const exchange = services.connector.exchange(target, services.handshake.request(offer)).pipe(
        Scope.extend(transport),
        // A timeout can only end what is interruptible, and connecting may stand in a region that is not.
        Effect.interruptible,
        Effect.timeoutFail({
          duration: timeout,
          onTimeout: () => refuse({ _tag: "Timeout", milliseconds: timeout })
        })
      )
      const reply = yield* Effect.onError(restore(exchange), (cause) => Scope.close(transport, Exit.failCause(cause)))
      const agreement = services.handshake.verify(offer, reply.response)
      if (agreement._tag === "Refusal" || reply._tag === "Answered") {
        yield* Scope.close(transport, Exit.void)
        return yield* refuse(explain(agreement, reply))
      }
      const engine = yield* makeEngine
      const connection = openAlone(engine, {
        role: "client",
        stream: reply.stream,
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
      yield* Scope.addFinalizerExit(scope, (exit) => Effect.zipRight(connection.close(), Scope.close(transport, exit)))
      return connection
    })
  )

const explain = (agreement: ReturnType<Handshake.Service["verify"]>, reply: Transport.Reply): Reason => {
  const { response } = reply
  if (agreement._tag === "Refusal" && agreement.reason === "header") {
    return { _tag: "InvalidHeader", header: agreement.header, problem: agreement.problem, response }
  }
  return { _tag: "Rejected", response, body: reply._tag === "Answered" ? reply.body : new Uint8Array(0) }
}

/** What the handshake itself says, and what only a proxy or the transport may say. */
const reserved = new Set(["host", "upgrade", "connection", "content-length", "transfer-encoding", "trailer", "expect"])

const makeOffer = (
  { framing, handshake, deflate }: Services,
  target: uri.WebSocketUri,
  options: ConnectOptions
): ClientOffer | Reason => {
  const invalid = (option: string, problem: string): Reason => ({ _tag: "InvalidOption", option, problem })
  const subprotocols = options.subprotocols ?? []
  if (!areTokens(subprotocols)) {
    return invalid("subprotocols", "must be a list of different tokens, without blanks, commas or quotes")
  }
  const headers: Array<readonly [string, string]> = []
  const { credentials } = target
  if (credentials !== undefined) {
    const bytes = utf8.encode(`${credentials.username}:${credentials.password}`)
    headers.push(["Authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`])
  }
  if (options.origin !== undefined) headers.push(["Origin", options.origin])
  if (options.userAgent !== undefined) headers.push(["User-Agent", options.userAgent])
  for (const [name, values] of Object.entries(options.headers ?? {})) {
    const lower = name.toLowerCase()
    if (reserved.has(lower) || lower.startsWith("sec-websocket-")) {
      return invalid("headers", `has ${name}, which the handshake sends itself`)
    }
    for (const value of typeof values === "string" ? [values] : values) headers.push([name, value])
  }
  for (const [name, value] of headers) {
    if (!isToken(name)) return invalid("headers", `has the name ${JSON.stringify(name)}, which is not a token`)
    if (!isValue(value)) return invalid("headers", `has a value of ${name} with control characters or beyond Latin-1`)
  }
  return {
    target: target.target,
    host: uri.authority(target),
    key: handshake.key(),
    subprotocols,
    extensions: [...framing.extensions, ...Deflate.extensions(deflate, options.compression)],
    headers
  }
}

/** What is wrong with a URI may be its user information itself, so all up to the last `@` goes, wherever that is. */
const withoutSecrets = (input: string): string =>
  input
    .replace(/^([a-z][a-z0-9+.-]*:[/\\]+)?.*@/is, (_, scheme: string | undefined) => scheme ?? "")
    .replace(/[?#].*$/s, "")
