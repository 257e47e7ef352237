import { lookup as systemLookup } from "node:dns"
import { request as httpRequest } from "node:http"
import { isIP, type LookupFunction } from "node:net"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { ProxyError, type Reason } from "../ProxyError.js"
import { basic } from "../protocol/uri.js"
import type { Destination } from "../Transport.js"
import { codeOf, TransportError } from "../TransportError.js"
import { authorityOf, bare, dial, type Route } from "./dial.js"
import { headersOf } from "./exchange.js"
import type { ProxyServer } from "./NodeProxy.js"

/** Streams of bytes through proxies. */

/** A proxy as sentences name it. */
export const show = ({ kind, hostname, port }: ProxyServer): string => `${kind}://${hostname}:${port}`

/**
 * `socks` ends an exchange that takes longer, whatever `openTimeout` says, and keeps the exchange in memory for so
 * long: 2 minutes, in milliseconds.
 */
const SOCKS_TIMEOUT = 120_000

/**
 * Opens a stream of bytes to a destination through a proxy. The socket is the
 * scope's from its first moment, however far it comes.
 */
export const openTunnel = (
  proxy: ProxyServer,
  destination: Destination,
  { localAddress, lookup }: Pick<Route, "localAddress" | "lookup">
): Effect.Effect<Duplex, ProxyError | TransportError, Scope.Scope> =>
  Effect.gen(function* () {
    const tunnel = yield* Effect.acquireRelease(
      Effect.try({
        try: () => new Tunnel(proxy, dial(proxy.hostname, proxy.port, { localAddress, lookup }, proxy.tls)),
        // Options that make no socket, as a certificate that is no PEM or a local address that is none.
        catch: (cause) => unreachable(proxy.tls === undefined ? "connect" : "tls", cause)
      }),
      ({ socket }) => Effect.sync(() => socket.destroy())
    )
    yield* tunnel.reached
    yield* isSocks(proxy.kind)
      ? connectSocks(tunnel, proxy.kind, destination, lookup ?? systemLookup)
      : connectHttp(tunnel, destination)
    return tunnel.socket
  }).pipe(
    Effect.mapError((error) =>
      error._tag === "TransportError"
        ? error
        : new ProxyError({ proxy: show(proxy), destination: authorityOf(destination), reason: error })
    )
  )

const unreachable = (operation: "connect" | "tls", cause: unknown): Reason => ({
  _tag: "Unreachable",
  operation,
  code: codeOf(cause),
  cause
})

const broken = (cause: Error): Reason => ({ _tag: "Broken", code: codeOf(cause), cause })

type Done = (outcome: Effect.Effect<void, Reason>) => void

/** The connection to a proxy, whose end is a value at any moment. */
class Tunnel {
  readonly proxy: ProxyServer
  readonly socket: Duplex
  private phase: "connect" | "tls" | "reached" = "connect"
  private failure: Reason | undefined
  private done: Done | undefined

  constructor(proxy: ProxyServer, socket: Duplex) {
    this.proxy = proxy
    this.socket = socket
    socket.on("error", (error) => this.fail(error))
    socket.on("close", () => this.fail(new Error("it ended the connection")))
    // Once: `socks` says it again, of the socket that it is given.
    socket.once("connect", () => this.advance(proxy.tls === undefined ? "reached" : "tls"))
    socket.once("secureConnect", () => this.advance("reached"))
  }

  private advance(phase: "tls" | "reached"): void {
    this.phase = phase
    if (phase === "reached") this.done?.(Effect.void)
  }

  private fail(cause: Error): void {
    this.failure ??= this.phase === "reached" ? broken(cause) : unreachable(this.phase, cause)
    this.done?.(Effect.fail(this.failure))
  }

  /** Waits until what is started says that it is done, or for the end of the socket. */
  until(start: (done: Done) => void): Effect.Effect<void, Reason> {
    return Effect.async<void, Reason>((resume) => {
      this.done = resume
      if (this.failure === undefined) start(resume)
      else resume(Effect.fail(this.failure))
    })
  }

  get reached(): Effect.Effect<void, Reason> {
    return this.until((done) => {
      if (this.phase === "reached") done(Effect.void)
    })
  }
}

/** RFC 9110 §9.3.6. */
const connectHttp = (tunnel: Tunnel, destination: Destination): Effect.Effect<void, Reason> =>
  tunnel.until((done) => {
    const { socket, proxy } = tunnel
    const authority = authorityOf(destination)
    const request = httpRequest({ createConnection: () => socket, method: "CONNECT", path: authority, setHost: false })
    request.setHeader("Host", authority)
    if (proxy.credentials !== undefined) {
      const { username, password } = proxy.credentials
      request.setHeader("Proxy-Authorization", basic({ username, password: Redacted.value(password) }))
    }
    // Without an agent node would ask to have the connection closed.
    request.removeHeader("Connection")
    request.on("error", (error) => done(Effect.fail(broken(error))))
    request.on("connect", (response, _, head) => {
      // Node takes every status for the last one here, information too, which no proxy is known to send.
      const status = response.statusCode ?? 0
      if (status < 200 || status > 299) {
        done(Effect.fail({ _tag: "Rejected", response: { status, headers: headersOf(response) } }))
        return
      }
      if (head.length > 0) socket.unshift(head)
      done(Effect.void)
    })
    request.end()
  })

type SocksKind = Exclude<ProxyServer["kind"], "http" | "https">

const isSocks = (kind: ProxyServer["kind"]): kind is SocksKind => kind !== "http" && kind !== "https"

/** RFC 1928, RFC 1929, and what they followed. */
const connectSocks = Effect.fnUntraced(function* (
  tunnel: Tunnel,
  kind: SocksKind,
  destination: Destination,
  lookup: LookupFunction
) {
  const { SocksClient } = yield* Effect.tryPromise({
    try: () => import("socks"),
    catch: (cause): Reason => ({ _tag: "NotInstalled", package: "socks", cause })
  })
  const host = yield* hostFor(kind, destination, lookup)
  yield* tunnel.until((done) => {
    const { socket, proxy } = tunnel
    const { hostname, port, credentials } = proxy
    try {
      const client = new SocksClient({
        command: "connect",
        destination: { host, port: destination.port },
        proxy: {
          host: hostname,
          port,
          type: kind.startsWith("socks4") ? 4 : 5,
          ...(credentials === undefined
            ? {}
            : { userId: credentials.username, password: Redacted.value(credentials.password) })
        },
        timeout: SOCKS_TIMEOUT
      })
      // It stays: the client's own timer may still find the socket closed.
      client.on("error", ({ message }) => done(Effect.fail(refused(message))))
      client.on("established", () => done(Effect.void))
      client.connect(socket)
    } catch (cause) {
      done(Effect.fail(refused(cause instanceof Error ? cause.message : String(cause))))
    }
  })
})

/** What `socks` says, without its error, which holds the user's name and password. */
const refused = (message: string): Reason => {
  const [, answer] = /rejected connection - \(?(\w+)/i.exec(message) ?? []
  if (answer !== undefined && answer !== "undefined") return { _tag: "SocksRejected", answer }
  return /authentication|no accepted auth/i.test(message)
    ? { _tag: "SocksRejected", answer: message }
    : broken(new Error(message))
}

/** What a SOCKS proxy is told to connect to: the name where it looks names up, and otherwise an address. */
const hostFor = (
  kind: SocksKind,
  destination: Destination,
  lookup: LookupFunction
): Effect.Effect<string, Reason | TransportError> => {
  const host = bare(destination.hostname)
  const family = isIP(host)
  if (family === 6 && kind.startsWith("socks4")) {
    return Effect.fail({ _tag: "InvalidProxy", problem: `${kind} knows no addresses of IPv6` })
  }
  if (family !== 0 || kind === "socks4a" || kind === "socks5h") return Effect.succeed(host)
  return Effect.async((resume) => {
    lookup(host, { family: kind === "socks4" ? 4 : 0 }, (cause, address) => {
      if (cause === null && typeof address === "string") resume(Effect.succeed(address))
      else {
        const peer = authorityOf(destination)
        resume(Effect.fail(new TransportError({ operation: "connect", peer, code: codeOf(cause), cause })))
      }
    })
  })
}
