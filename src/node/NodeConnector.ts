import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http"
import { isIP, connect as netConnect, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type ConnectionOptions, TLSSocket, connect as tlsConnect } from "node:tls"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { RequestHead, ResponseHead } from "../protocol/Handshake.js"
import { Connector, type Destination, type Reply } from "../Transport.js"
import { type Operation, TransportError } from "../TransportError.js"
import { NodeByteStream } from "./byteStream.js"
import { headersOf } from "./exchange.js"
import * as NodeDeflate from "./NodeDeflate.js"

/** How servers are reached. */
export interface ConnectorOptions {
  /** For `wss`: whom to trust (`ca`), which name to expect (`servername`), and whatever else `tls.connect` takes. */
  readonly tls?: ClientTls | undefined
  /** Connects to a Unix socket, whatever the URI's host is. */
  readonly path?: string | undefined
  /** The local address to connect from. */
  readonly localAddress?: string | undefined
  /** Uses a stream that is open already, once; for `wss` TLS is spoken over it. */
  readonly duplex?: Duplex | undefined
}

export interface ClientTls extends Omit<ConnectionOptions, "host" | "port" | "path" | "socket" | "rejectUnauthorized"> {
  /** Accepts whatever certificate the server shows, so that anybody in between can read and change everything. */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined
}

/** The body of a refusal is kept up to here, in bytes. */
const MAX_BODY = 1_048_576

/** Reaches servers over TCP, TLS and Unix sockets, with node's HTTP/1.1; brings compressors for those that want them. */
export const layerWith = (options: ConnectorOptions): Layer.Layer<Connector> =>
  Layer.merge(
    Layer.succeed(Connector, {
      exchange: (destination, request) => exchange(options, destination, request)
    }),
    NodeDeflate.layer
  )

export const layer: Layer.Layer<Connector> = layerWith({})

const exchange = (
  options: ConnectorOptions,
  destination: Destination,
  request: RequestHead
): Effect.Effect<Reply, TransportError, Scope.Scope> =>
  Effect.flatMap(
    // The socket is the scope's from its first moment: it ends with it, however far it came.
    Effect.acquireRelease(
      Effect.try({
        try: () => new Dialling(options, destination, request),
        // Options that make no socket, as a certificate that is no PEM or a local address that is none.
        catch: (cause) =>
          new TransportError({
            operation: destination.secure ? "tls" : "connect",
            peer: peerOf(options, destination),
            code: undefined,
            cause
          })
      }),
      (dialling) => Effect.sync(() => dialling.destroy())
    ),
    (dialling) => dialling.reply
  )

const peerOf = ({ path }: ConnectorOptions, { hostname, port }: Destination): string => path ?? `${hostname}:${port}`

class Dialling {
  private readonly peer: string
  private readonly socket: Duplex
  private readonly sent: ClientRequest
  private operation: Operation = "connect"
  private outcome: Effect.Effect<Reply, TransportError> | undefined
  private settle: ((outcome: Effect.Effect<Reply, TransportError>) => void) | undefined

  constructor(options: ConnectorOptions, destination: Destination, request: RequestHead) {
    const { secure } = destination
    this.peer = peerOf(options, destination)
    this.socket = this.dial(options, destination)
    // In the tick in which it is made: a reset at any later moment is a value.
    this.socket.on("error", (error) => this.fail(error))
    this.socket.on("close", () => this.fail(new Error("the connection was closed before the handshake was done")))
    if (options.duplex === undefined) this.socket.on("connect", () => this.advance(secure ? "tls" : "handshake"))
    else this.advance(secure ? "tls" : "handshake")
    if (secure) this.socket.on("secureConnect", () => this.advance("handshake"))
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

  private dial({ tls, path, localAddress, duplex }: ConnectorOptions, { secure, hostname, port }: Destination): Duplex {
    const host = hostname.replace(/^\[|\]$/g, "")
    const where = path === undefined ? { host, port, localAddress } : { path }
    if (!secure) return duplex ?? netConnect(where)
    const { dangerouslyAcceptAnyCertificate, ...options } = tls ?? {}
    return tlsConnect({
      // SNI is for names: RFC 6066 §3.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...options,
      ...(duplex === undefined ? where : { socket: duplex }),
      rejectUnauthorized: dangerouslyAcceptAnyCertificate !== true
    })
  }

  private advance(operation: Operation): void {
    this.operation = operation
  }

  private readBody(response: IncomingMessage): void {
    const chunks: Array<Uint8Array> = []
    let size = 0
    const finish = () => this.finish(answered(headOf(response), chunks))
    response.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk.subarray(0, MAX_BODY - size))
      size += chunk.length
      if (size < MAX_BODY) return
      finish()
      this.destroy()
    })
    response.on("end", finish)
    // A body that breaks off: what came of it says more than the break.
    response.on("error", finish)
    response.on("aborted", finish)
  }

  private fail(cause: Error): void {
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : undefined
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
