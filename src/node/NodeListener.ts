import { createServer, Server as HttpServer, type IncomingMessage } from "node:http"
import { createServer as createSecureServer, Server as HttpsServer } from "node:https"
import type { Server as NetServer, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type SecureContextOptions, type TlsOptions, Server as TlsServer } from "node:tls"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { ListenError } from "../ListenError.js"
import { maxTarget } from "../protocol/Handshake.js"
import { type Acceptor, type Address, Listener } from "../Transport.js"
import { addressOf, unixAddress } from "./addresses.js"
import { claim } from "./claim.js"
import * as exchange from "./exchange.js"
import * as NodeDeflate from "./NodeDeflate.js"
import { watched } from "./peers.js"
import { reveal } from "./reveal.js"
import { nodeOptions, TlsContext } from "./TlsContext.js"

/** Certificate and key of a server, and whatever else `tls.createServer` takes. */
export interface ServerTls extends Omit<TlsOptions, "key" | "passphrase"> {
  /** PEM; as `Redacted` it shows up in no log. */
  readonly key: string | Uint8Array | Redacted.Redacted<string>
  /** What the key is encrypted with. */
  readonly passphrase?: string | Redacted.Redacted<string> | undefined
  readonly cert: NonNullable<TlsOptions["cert"]>
}

/** A port, a path, or a file descriptor that listens already. */
export interface Place {
  /** A TCP port; 0 takes any that is free, and the server's `address` then says which. */
  readonly port?: number | undefined
  /** The interface: all of them unless told otherwise. */
  readonly host?: string | undefined
  /** A Unix socket. */
  readonly path?: string | undefined
  /** The descriptor of a socket that listens, as systemd hands one over. */
  readonly fd?: number | undefined
  /** How many connections the system keeps waiting: 511. */
  readonly backlog?: number | undefined
}

/** Where to listen, and whether with TLS. */
export interface ListenOptions extends Place {
  /** Makes it a `wss` server. */
  readonly tls?: ServerTls | undefined
}

/** A listener, and compressors for those that it serves. */
const layerOf = (listener: Context.Tag.Service<Listener>): Layer.Layer<Listener> =>
  Layer.merge(Layer.succeed(Listener, listener), NodeDeflate.layer)

/** Listens for TCP, TLS or Unix sockets by a server of its own. */
export const layer = (options: ListenOptions): Layer.Layer<Listener> =>
  layerOf({
    listen: (acceptor) =>
      Effect.gen(function* () {
        const server = yield* Effect.try({
          try: () => makeServer(options.tls),
          catch: (cause) => listenError(options, cause)
        })
        yield* served(server, acceptor)
        return yield* bind(server, options)
      })
  })

/** The same with options that are `Config`s, each of them or all at once; a value that is none is `Config.succeed(value)`. */
export const layerConfig = (options: Config.Config.Wrap<ListenOptions>): Layer.Layer<Listener, ConfigError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))

/** The same for a `wss` server whose certificate is the `TlsContext`'s. */
export interface TlsListenOptions extends Place {
  /** Whatever else `tls.createServer` takes. */
  readonly tls?: Omit<TlsOptions, keyof SecureContextOptions> | undefined
}

/**
 * Listens for TLS with the certificate of a `TlsContext`: when that is loaded
 * anew, connections go on, and new ones see the new certificate.
 */
export const layerTls = (options: TlsListenOptions): Layer.Layer<Listener, never, TlsContext> =>
  Layer.unwrapEffect(
    Effect.map(TlsContext, ({ use }) =>
      layerOf({
        listen: (acceptor) =>
          Effect.gen(function* () {
            const server = yield* Effect.try({
              try: () => createSecureServer({ ...httpOptions, ...options.tls }),
              catch: (cause) => listenError(options, cause)
            })
            yield* use((pair) => server.setSecureContext(nodeOptions(pair)))
            yield* served(server, acceptor)
            return yield* bind(server, options)
          })
      })
    )
  )

type AnyListener = Layer.Layer<Listener, unknown, unknown>

/** Several listeners for one server, whose `addresses` are those of all of them in this order. */
export const merge = <Listeners extends ReadonlyArray<AnyListener>>(
  ...listeners: Listeners
): Layer.Layer<Listener, Layer.Layer.Error<Listeners[number]>, Layer.Layer.Context<Listeners[number]>> => {
  type Build = Effect.Effect<
    Context.Context<Listener>,
    Layer.Layer.Error<Listeners[number]>,
    Layer.Layer.Context<Listeners[number]> | Scope.Scope
  >
  const built = Effect.forEach(listeners, (listener) => Layer.build(listener) as Build)
  return Layer.merge(
    Layer.scoped(
      Listener,
      Effect.map(built, (contexts) => ({
        listen: (acceptor) =>
          Effect.map(
            Effect.forEach(contexts, (context) => Context.get(context, Listener).listen(acceptor)),
            (addresses) => addresses.flat()
          )
      }))
    ),
    NodeDeflate.layer
  )
}

/**
 * Takes connections from a server of the user's: the upgrades of an HTTP(S)
 * server, whose other requests stay with it, or all connections of a TCP or
 * TLS server. It is theirs to start and to stop; with this layer's scope only
 * our listeners leave it, behind the connections. One that another of our
 * servers has at the time is a `ListenError`.
 */
export const fromServer = (server: HttpServer | HttpsServer | NetServer | TlsServer): Layer.Layer<Listener> =>
  layerOf({
    listen: (acceptor) =>
      Effect.gen(function* () {
        yield* claim(server)
        if (server instanceof HttpServer || server instanceof HttpsServer) {
          const onUpgrade = upgraded(acceptor)
          yield* held(
            () => server.on("upgrade", onUpgrade).prependListener("request", exchange.track),
            () => server.off("upgrade", onUpgrade).off("request", exchange.track)
          )
          return addressesOf(server)
        }
        const http = yield* servedConnections(acceptor)
        const event = server instanceof TlsServer ? "secureConnection" : "connection"
        const onConnection = (socket: Socket) => void http.emit("connection", socket)
        yield* held(
          () => server.on(event, onConnection),
          () => server.off(event, onConnection)
        )
        return addressesOf(server)
      })
  })

/** Serves one peer, at the other end of a stream that is open already. */
export const fromDuplex = (duplex: Duplex): Layer.Layer<Listener> =>
  layerOf({
    listen: (acceptor) =>
      Effect.map(servedConnections(acceptor), (http): ReadonlyArray<Address> => {
        http.emit("connection", duplex)
        return []
      })
  })

const makeServer = (tls: ServerTls | undefined): HttpServer | HttpsServer => {
  if (tls === undefined) return createServer(httpOptions)
  const { key: secret, passphrase, ...rest } = tls
  const key = reveal(secret)
  return createSecureServer({
    ...httpOptions,
    ...rest,
    key: typeof key === "string" ? key : Buffer.from(key),
    ...(passphrase === undefined ? {} : { passphrase: reveal(passphrase) })
  })
}

/**
 * node's own limit is above ours, so that what is too much by ours gets the
 * right answer, and below what is read at a time, so that the request line is
 * mostly there to be looked at where it is too much for node too. A missing
 * Host is ours to refuse, with a sentence.
 */
const httpOptions = { maxHeaderSize: 32_768, requireHostHeader: false, noDelay: true } as const

/** A server that speaks HTTP on connections that somebody else accepts. */
const servedConnections = (acceptor: Acceptor): Effect.Effect<HttpServer, never, Scope.Scope> =>
  Effect.suspend(() => {
    const server = createServer(httpOptions)
    return Effect.as(served(server, acceptor), server)
  })

/** Hands everything that a server hears to the acceptor, and ends what is left of it with the scope. */
const served = (server: HttpServer | HttpsServer, acceptor: Acceptor): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      server.maxHeadersCount = 0
      const peers = watched(server, acceptor)
      server.on("request", (message, response) => {
        const { socket } = message
        exchange.track(message, response)
        response.on("close", () => {
          if (!exchange.isAnswering(socket)) peers.answered(socket)
        })
        acceptor.exchange(exchange.plain(message, response))
      })
      server.on("upgrade", upgraded(acceptor))
      server.on("clientError", (error, socket) => {
        // Behind what is left of an earlier answer ours would be taken for a part of it.
        if (exchange.isAnswering(socket)) socket.destroy()
        else answerClientError(error, socket)
      })
      // A TLS handshake that fails ends its socket; the peer learns of it by TLS.
      server.on("tlsClientError", () => {})
      return peers
    }),
    (peers) =>
      Effect.sync(() => {
        // Nothing is waited for: WebSockets have been closed before, and `close` would wait for any other.
        server.close()
        peers.destroy()
      })
  )

const upgraded =
  (acceptor: Acceptor) =>
  (message: IncomingMessage, socket: Socket, head: Uint8Array): void => {
    const asked = exchange.upgrade(message, socket, head)
    // Pipelined behind a request whose answer is not over: that would be written into ours, or into frames.
    if (exchange.isAnswering(socket)) asked.abort()
    else acceptor.exchange(asked)
  }

/** What the parser found. */
const statusOf = (error: Error & { readonly code?: string; readonly rawPacket?: Uint8Array }): string => {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return isRequestLine(error.rawPacket) ? "414 URI Too Long" : "431 Request Header Fields Too Large"
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return "408 Request Timeout"
    default:
      return "400 Bad Request"
  }
}

/** Whether the first line of a request that is too large is what makes it so, as far as the latest packet shows. */
const isRequestLine = (packet: Uint8Array | undefined): boolean => {
  if (packet === undefined) return false
  const line = packet.indexOf(0x0a)
  return (line < 0 || line > maxTarget) && /^[A-Z]+ /.test(Buffer.from(packet.subarray(0, 20)).toString("latin1"))
}

/** What is not HTTP at all gets an answer that a person can read, where it can still be written. */
const answerClientError = (error: Error & { readonly code?: string }, socket: Duplex): void => {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy()
    return
  }
  const body = "The request is malformed or too large.\n"
  socket.on("error", () => {})
  socket.end(
    `HTTP/1.1 ${statusOf(error)}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy()
  )
}

/** Something that holds for as long as the scope is open. */
const held = (begin: () => unknown, end: () => unknown): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(begin), () => Effect.sync(end))

const bind = (server: HttpServer | HttpsServer, options: Place): Effect.Effect<ReadonlyArray<Address>, ListenError> =>
  Effect.async<ReadonlyArray<Address>, ListenError>((resume) => {
    const onError = (cause: Error) => resume(Effect.fail(listenError(options, cause)))
    server.once("error", onError)
    const { port, host, path, fd, backlog = 511 } = options
    const where = fd !== undefined ? { fd } : path !== undefined ? { path } : { port: port ?? 0, host }
    try {
      server.listen({ ...where, backlog }, () => {
        server.off("error", onError)
        // An error of the listening socket from here on concerns one connection that could not be accepted.
        server.on("error", () => {})
        resume(Effect.sync(() => addressesOf(server)))
      })
    } catch (cause) {
      onError(cause as Error)
    }
  })

const addressesOf = (server: NetServer): ReadonlyArray<Address> => {
  const address = server.address()
  if (address === null) return []
  if (typeof address === "string") return [unixAddress(address)]
  const found = addressOf(address.address, address.port)
  return found === undefined ? [] : [found]
}

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const listenError = (options: Place, cause: unknown): ListenError =>
  new ListenError({ address: describe(options), code: codeOf(cause), cause })

const describe = ({ port, host, path, fd }: Place): string => {
  if (fd !== undefined) return `file descriptor ${fd}`
  if (path !== undefined) return path
  return host === undefined ? `port ${port ?? 0}` : `${host}, port ${port ?? 0}`
}
