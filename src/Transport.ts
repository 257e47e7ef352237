import type { Address } from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ListenError } from "./ListenError.js"
import type { ProxyError } from "./ProxyError.js"
import type { RequestHead, ResponseHead } from "./protocol/Handshake.js"
import { sharedMemory } from "./protocol/vectors.js"
import type { TransportError } from "./TransportError.js"

/**
 * The port between the library and whatever carries its bytes.
 *
 * It speaks values: a listener hands over requests and takes responses, a
 * connector the other way round, and either then gives a stream of bytes. How
 * HTTP looks on the wire is the business of the edge behind the port.
 */

export type { Address } from "@effect/platform/HttpServer"
export type { HeaderList, RequestHead, ResponseHead } from "./protocol/Handshake.js"

/**
 * What the peer sends. Its methods are called synchronously, never from inside
 * a method of the `ByteStream` except `attach`, and do not throw.
 */
export interface Sink {
  /** Bytes that the sink may change, and that are its own until it returns. */
  readonly data: (bytes: Uint8Array) => void
  /** The peer has ended its side. */
  readonly end: () => void
  /** All that was written has left. */
  readonly drain: () => void
  /** The stream is no more: called once, last. */
  readonly closed: (error: TransportError | undefined) => void
}

/**
 * What became of written bytes: with `sent` their memory is free again; with
 * `queued` it is the stream's, and `drain` follows; `full` is `queued` with
 * the wish to get no more before that.
 */
export type WriteResult = "sent" | "queued" | "full"

/** A duplex stream of bytes with one peer. */
export interface ByteStream {
  /** Called once. What came before, glued to the handshake or its end, reaches the sink first. */
  readonly attach: (sink: Sink) => void
  readonly write: (bytes: Uint8Array) => WriteResult
  /** Stops reading; at most what is being delivered still arrives. */
  readonly pause: () => void
  readonly resume: () => void
  /** Bytes written that have not left yet. */
  readonly bufferedAmount: () => number
  /** Ends our side once all before it has left; the peer's stays open. */
  readonly end: () => void
  /** Ends both sides now; the other end sees an end or a reset. */
  readonly destroy: () => void
  readonly remoteAddress: () => Address | undefined
  readonly localAddress: () => Address | undefined
}

/** A request with what is known of who sent it. */
export interface Request extends RequestHead {
  readonly peer: {
    /** Whether it came over TLS. */
    readonly secure: boolean
    readonly remote: Address | undefined
  }
}

export interface Response extends ResponseHead {
  /** The connection ends behind it, as it does behind every answer to an upgrade request. */
  readonly isLast?: boolean | undefined
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array> | undefined
}

/** One request and its answer: exactly one of `accept` and `respond` is called, once. */
export interface Exchange {
  readonly request: Request
  /** Whether `accept` is possible: the peer asked for an upgrade, and the edge can switch. */
  readonly isUpgrade: boolean
  /** Answers with 101 and goes over to a stream of bytes. */
  readonly accept: (response: ResponseHead) => ByteStream
  /** Answers with anything else; an upgrade request's connection ends after it. */
  readonly respond: (response: Response) => void
  /** Called before `respond`: the answer has left, or never will. Without it an answer takes no time. */
  readonly onSent?: ((sent: () => void) => void) | undefined
  /** Cuts the connection without an answer. */
  readonly abort: () => void
  /** The peer has gone before it was answered. */
  readonly onAbort: (gone: () => void) => void
  /** What a connection that comes of it has of its own before any hook: the services of a route. */
  readonly services?: Context.Context<never> | undefined
  /** Called when nothing is left of the connection that has come of it, and of its handler. */
  readonly over?: (() => void) | undefined
}

/** Who takes what a listener hears. */
export interface Acceptor {
  /**
   * A peer has connected and said nothing yet, or has been answered and said nothing since; `cut` ends the connection.
   * What is returned is called once, when its first request is there or when it has gone.
   */
  readonly arrived: (cut: () => void, wasAnswered?: boolean) => () => void
  readonly exchange: (exchange: Exchange) => void
}

/** Where peers come from. Its release waits for nothing: who listens has ended the connections before. */
export class Listener extends Context.Tag("effect-websockets/Transport/Listener")<
  Listener,
  {
    /** Binds, and hands over every request until the scope closes; says where it listens. */
    readonly listen: (acceptor: Acceptor) => Effect.Effect<ReadonlyArray<Address>, ListenError, Scope.Scope>
  }
>() {}

/** Where a client's request goes. */
export interface Destination {
  readonly secure: boolean
  readonly hostname: string
  readonly port: number
  /**
   * Whether a redirect from another origin led here: what is meant for the server that the user named does not hold,
   * as a client's certificate, or an address to connect to instead.
   */
  readonly isForeign?: boolean | undefined
}

/** What a server said: it goes over to a stream of bytes, or it answers. */
export type Reply =
  | { readonly _tag: "Switched"; readonly response: ResponseHead; readonly stream: ByteStream }
  | { readonly _tag: "Answered"; readonly response: ResponseHead; readonly body: Uint8Array }

/** How a client reaches servers. The scope holds the socket and its TLS context. */
export class Connector extends Context.Tag("effect-websockets/Transport/Connector")<
  Connector,
  {
    /** Opens a stream of bytes and performs one HTTP exchange on it. */
    readonly exchange: (
      destination: Destination,
      request: RequestHead
    ) => Effect.Effect<Reply, TransportError | ProxyError, Scope.Scope>
  }
>() {}

/**
 * Memory that all connections of a process may read into: what arrives there is
 * unmasked in place, sixteen bytes at a time. Its content holds until the next read.
 */
export const sharedReadBuffer: Uint8Array = sharedMemory
