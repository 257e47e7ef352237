import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http"
import { isIP, type LookupFunction, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { checkServerIdentity, TLSSocket } from "node:tls"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { RequestHead, ResponseHead } from "../protocol/Handshake.js"
import { Connector, type Destination, type Reply } from "../Transport.js"
import { codeOf, type Operation, TransportError } from "../TransportError.js"
import { NodeByteStream } from "./byteStream.js"
import { authorityOf, type ClientTls, dial, type Route } from "./dial.js"
import { headersOf } from "./exchange.js"
import * as NodeDeflate from "./NodeDeflate.js"
import * as NodeProxy from "./NodeProxy.js"
import { openTunnel, show } from "./tunnel.js"

export type { ClientTls } from "./dial.js"

/** How servers are reached, as data. */
export interface ConnectorSettings {
  /** For `wss`: whom to trust (`ca`), which name to expect (`servername`), and whatever else `tls.connect` takes. */
  readonly tls?: ClientTls | undefined
  /** Connects to this host, by name or address, whatever the URI's is; `Host`, SNI and the certificate's name stay the URI's. */
  readonly host?: string | undefined
  /** Connects to this port, whatever the URI's is. */
  readonly port?: number | undefined
  /** Connects to a Unix socket, whatever the URI's host is, and through no proxy. */
  readonly path?: string | undefined
  /** The local address to connect from. */
  readonly localAddress?: string | undefined
}

/** What a connector takes beside data. */
export interface ConnectorHooks {
  /** Looks up host names instead of the system. */
  readonly lookup?: LookupFunction | undefined
  /** Uses a stream that is open already, once, and through no proxy; for `wss` TLS is spoken over it. */
  readonly duplex?: Duplex | undefined
}

export type ConnectorOptions = ConnectorSettings & ConnectorHooks

/** The body of a refusal is kept up to here, in bytes. RFC 6455 §4.1. */
export const maxBody = 1_048_576

/**
 * Reaches servers over TCP, TLS and Unix sockets, with node's HTTP/1.1, and
 * through the proxies that `NodeProxy` names; brings compressors for those
 * that want them.
 *
 * Options that say where to connect, the server's name and what the client
 * shows of itself (certificate, session, shared key) are for the server of the
 * URI: redirects to another origin are not followed where the first is fixed
 * or `tls.secureContext` may hold a certificate, and go without the others.
 * There a certificate has to be right for its host and for the option
 * `tls.checkServerIdentity`.
 */
export const layerWith = (options: ConnectorOptions): Layer.Layer<Connector> =>
  Layer.merge(
    Layer.effect(
      Connector,
      Effect.map(NodeProxy.Proxy, (proxy) => ({
        exchange: (destination: Destination, request: RequestHead) => exchange(options, proxy, destination, request)
      }))
    ),
    NodeDeflate.layer
  )

export const layer: Layer.Layer<Connector> = layerWith({})

/** The same with settings that are `Config`s, each of them or all at once; a value that is none is `Config.succeed(value)`. */
export const layerConfig = (
  settings: Config.Config.Wrap<ConnectorSettings>,
  hooks: ConnectorHooks = {}
): Layer.Layer<Connector, ConfigError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(settings), (plain) => layerWith({ ...plain, ...hooks })))

const exchange = Effect.fnUntraced(function* (
  options: ConnectorOptions,
  proxies: NodeProxy.Service,
  destination: Destination,
  request: RequestHead
) {
  const isForeign = destination.isForeign === true
  const fixed = isForeign ? fixedBy(options, destination) : undefined
  if (fixed !== undefined) {
    const problem = `the server redirects there, and the connector's option ${fixed} is for one server. Connect there with another connector`
    return yield* cannot("connect", authorityOf(destination), new Error(problem))
  }
  const goal = {
    ...destination,
    hostname: bracketed(options.host ?? destination.hostname),
    port: options.port ?? destination.port
  }
  const proxy = (options.path ?? options.duplex) ? Option.none() : yield* proxies.select(goal)
  const through = Option.isNone(proxy) ? "" : ` through the proxy ${show(proxy.value)}`
  const peer = `${options.path ?? authorityOf(goal)}${through}`
  const duplex = Option.isNone(proxy)
    ? yield* once(options.duplex, peer)
    : yield* openTunnel(proxy.value, goal, options)
  const tls = destination.secure ? tlsFor(options.tls ?? {}, isForeign) : undefined
  // The socket is the scope's from its first moment: it ends with it, however far it came.
  const dialling = yield* Effect.acquireRelease(
    Effect.try({
      try: () => new Dialling(peer, destination, { ...options, duplex }, tls, request),
      // Options that make no socket, as a certificate that is no PEM or a local address that is none.
      catch: (cause) => cannot(destination.secure ? "tls" : "connect", peer, cause)
    }),
    (dialling) => Effect.sync(() => dialling.destroy())
  )
  return yield* dialling.reply
})

/** The option that is for the server of the URI alone and cannot be left out for another. */
const fixedBy = (options: ConnectorOptions, { secure }: Destination): string | undefined =>
  (["host", "port", "path", "duplex"] as const).find((name) => options[name] !== undefined) ??
  // It may hold a certificate of the client's, and nobody can look into it.
  (secure && options.tls?.secureContext !== undefined ? "tls.secureContext" : undefined)

/** What is in the way is an option, and will be the next time: so says the code, where the cause says nothing. */
const cannot = (operation: Operation, peer: string, cause: unknown) =>
  new TransportError({ operation, peer, code: codeOf(cause) ?? "ERR_CONNECTOR_OPTION", cause })

const bracketed = (host: string): string => (isIP(host) === 6 ? `[${host}]` : host)

/** The streams that were given as an option and are used up. */
const used = new WeakSet<Duplex>()

/** Takes such a stream, whose end is then the scope's. */
const once = (
  duplex: Duplex | undefined,
  peer: string
): Effect.Effect<Duplex | undefined, TransportError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (duplex === undefined) return Effect.succeed(duplex)
      if (used.has(duplex) || duplex.destroyed) {
        return cannot("connect", peer, new Error("the stream given as the option duplex was used before, or is closed"))
      }
      used.add(duplex)
      return Effect.succeed(duplex)
    }),
    (taken) => Effect.sync(() => taken?.destroy())
  )

/** Leaves out what is meant for the first server only, and what only that one may be shown. */
const tlsFor = (tls: ClientTls, isForeign: boolean): ClientTls => {
  if (!isForeign) return tls
  const { servername, cert, key, pfx, passphrase, session, pskCallback, ...others } = tls
  const { clientCertEngine, privateKeyEngine, privateKeyIdentifier, checkServerIdentity: check, ...rest } = others
  if (check === undefined) return rest
  // A check that was made for the first server's name may take anything for another's.
  return { ...rest, checkServerIdentity: (host, shown) => checkServerIdentity(host, shown) ?? check(host, shown) }
}

class Dialling {
  private readonly peer: string
  private readonly socket: Duplex
  private readonly sent: ClientRequest
  private operation: Operation = "connect"
  private outcome: Effect.Effect<Reply, TransportError> | undefined
  private settle: ((outcome: Effect.Effect<Reply, TransportError>) => void) | undefined

  constructor(peer: string, destination: Destination, route: Route, tls: ClientTls | undefined, request: RequestHead) {
    this.peer = peer
    this.socket = dial(destination.hostname, destination.port, route, tls)
    // In the tick in which it is made: a reset at any later moment is a value.
    this.socket.on("error", (error) => this.fail(error))
    this.socket.on("close", () => this.fail(new Error("the connection was closed before the handshake was done")))
    const reached = () => this.advance(tls === undefined ? "handshake" : "tls")
    if (route.duplex === undefined) this.socket.on("connect", reached)
    else reached()
    if (tls !== undefined) this.socket.on("secureConnect", () => this.advance("handshake"))
    this.sent = this.ask(request)
    this.sent.on("error", (error) => this.fail(error))
    this.sent.on("upgrade", (response: IncomingMessage, socket: Socket, head: Uint8Array) => {
      const stream = new NodeByteStream(socket, head, this.peer)
      this.finish(Effect.succeed({ _tag: "Switched", response: headOf(response), stream }))
    })
    this.sent.on("response", (response) => this.readBody(response))
    // In some versions of node a 101 that switches to nothing is information; any other is followed by an answer.
    this.sent.on("information", ({ statusCode, httpVersion, rawHeaders }) => {
      if (statusCode === 101) this.finish(answered(headOf({ statusCode, httpVersion, rawHeaders }), []))
    })
    this.sent.end()
  }

  /** Starts the request; one that node refuses to write leaves no socket behind. */
  private ask({ method, target, headers }: RequestHead): ClientRequest {
    try {
      return httpRequest({ createConnection: () => this.socket, method, path: target, headers: headers.flat() })
    } catch (cause) {
      this.socket.destroy()
      throw cause
    }
  }

  private advance(operation: Operation): void {
    this.operation = operation
  }

  private readBody(response: IncomingMessage): void {
    const chunks: Array<Uint8Array> = []
    let size = 0
    const finish = () => this.finish(answered(headOf(response), chunks))
    response.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk.subarray(0, maxBody - size))
      size += chunk.length
      if (size < maxBody) return
      finish()
      this.destroy()
    })
    response.on("end", finish)
    // A body that breaks off: what came of it says more than the break.
    response.on("error", finish)
    response.on("aborted", finish)
  }

  private fail(cause: Error): void {
    const code = codeOf(cause)
    const operation = this.socket instanceof TLSSocket && code?.startsWith("ERR_SSL") === true ? "tls" : this.operation
    this.finish(Effect.fail(new TransportError({ operation, peer: this.peer, code, cause })))
  }

  private finish(outcome: Effect.Effect<Reply, TransportError>): void {
    if (this.outcome !== undefined) return
    this.outcome = outcome
    this.settle?.(outcome)
  }

  get reply(): Effect.Effect<Reply, TransportError> {
    return Effect.async<Reply, TransportError>((resume) => {
      if (this.outcome !== undefined) resume(this.outcome)
      else this.settle = resume
    })
  }

  destroy(): void {
    this.sent.destroy()
    this.socket.destroy()
  }
}

const headOf = (message: Pick<IncomingMessage, "statusCode" | "httpVersion" | "rawHeaders">): ResponseHead => ({
  status: message.statusCode ?? 0,
  version: message.httpVersion === "1.0" ? "1.0" : "1.1",
  headers: headersOf(message)
})

const answered = (response: ResponseHead, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<Reply> =>
  Effect.sync(() => ({ _tag: "Answered", response, body: Uint8Array.from(Buffer.concat([...chunks])) }))
