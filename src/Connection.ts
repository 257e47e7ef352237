import type { Address } from "@effect/platform/HttpServer"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Channel from "effect/Channel"
import type * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Capabilities } from "./capabilities.js"
import { makeEngine } from "./deadlines.js"
import { duplex } from "./duplex.js"
import * as Framing from "./Framing.js"
import type { Message } from "./inbox.js"
import { type Handshake, openAlone, type SendOptions, unknownHandshake } from "./liveConnection.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Close, Role } from "./protocol/Frame.js"
import type { State } from "./protocol/Protocol.js"
import { type Reading, type ReceiveError, TypeId } from "./reading.js"
import { type ConnectionOptions, resolve } from "./settings.js"
import type { ByteStream } from "./Transport.js"
import type { UnexpectedMessageType } from "./UnexpectedMessageType.js"
import type { Unsupported } from "./Unsupported.js"

export type { Capabilities } from "./capabilities.js"
export type { Message } from "./inbox.js"
export type { Handshake, SendOptions } from "./liveConnection.js"
export type { Close, Role } from "./protocol/Frame.js"
export type { State } from "./protocol/Protocol.js"
export { type ReceiveError, TypeId } from "./reading.js"
export type { ConnectionOptions } from "./settings.js"

/**
 * One WebSocket connection, either end of it.
 *
 * Messages are strings (text) and bytes (binary). Pings are answered, the
 * closing handshake is done, and a silent peer is noticed, without the
 * program's doing. Everything that needs the connection fails with
 * `ConnectionClosed` once it is over, however it ended.
 */
export interface Connection {
  /** What the combinators of this module work on. */
  readonly [TypeId]: Reading
  /** Different for each connection of the process. */
  readonly id: number
  readonly role: Role
  readonly handshake: Handshake
  /** What it can do that not every runtime can: everything, except over what carries whole messages, as a browser's WebSocket. */
  readonly capabilities: Capabilities
  /**
   * What the server's request hook gave this connection, as a principal: for whoever finds it in the registry, with
   * `Context.getOption`. Its handler has these services anyway.
   */
  readonly context: Context.Context<never>
  readonly remoteAddress: Option.Option<Address>
  readonly localAddress: Option.Option<Address>

  /**
   * Takes the next message, or waits for it. Interrupting it loses none.
   *
   * Messages that came before the end stay readable; then it fails with
   * `ConnectionClosed`, whether the end was clean or not. While another fiber
   * waits it fails with `ConcurrencyError`.
   */
  readonly receive: Effect.Effect<Message, ReceiveError>
  /** The same for a text message; bytes are taken and become the error `UnexpectedMessageType`. */
  readonly receiveText: Effect.Effect<string, ReceiveError | UnexpectedMessageType>
  /** The same for a binary message; text is taken and becomes the error `UnexpectedMessageType`. */
  readonly receiveBytes: Effect.Effect<Uint8Array, ReceiveError | UnexpectedMessageType>
  /** Takes all messages that are there, at least one. */
  readonly receiveAll: Effect.Effect<NonEmptyReadonlyArray<Message>, ReceiveError>
  /**
   * All messages from here on. Ends when the connection ends cleanly, fails
   * with `ConnectionClosed` otherwise. It takes what is there as a chunk, and
   * that chunk is its own: what it does not emit any more is lost.
   */
  readonly messages: Stream.Stream<Message, ReceiveError>
  /**
   * The next message in parts, as they arrive: for messages that are too large
   * to keep, or that take long. A text is never cut inside a character. The
   * message that is meant is the next one that `receive` would give; leaving
   * the stream early discards what is left of a message that has begun. While
   * it runs, whoever else asks for messages fails with `ConcurrencyError`.
   * `maxMessageSize` holds all the same. Where `capabilities.fragments` is
   * false the message comes whole.
   */
  readonly receiveFragments: Stream.Stream<Message, ReceiveError>

  /**
   * Sends a message: a string as text, bytes as binary.
   *
   * Completes when it is accepted below `sendHighWaterMark`, and waits its
   * turn above. Payloads up to 64 KiB are copied. A server sends larger bytes
   * from where they lie, and then this completes when they have been written:
   * leave them unchanged until then. Fails with `ConnectionClosed`.
   */
  readonly send: (message: Message, options?: SendOptions) => Effect.Effect<void, ConnectionClosed>
  /** Sends messages in order; together they leave in as few writes as possible. */
  readonly sendAll: (messages: Iterable<Message>) => Effect.Effect<void, ConnectionClosed>
  /**
   * Sends one message in fragments, as a stream gives them; text if the first
   * of them is a string, binary if it is bytes, nothing if there is none.
   * Other messages wait until it is complete; pings and pongs go in between.
   *
   * A stream that fails, or is interrupted, inside the message ends the
   * connection with 1011: there is no other way to take a message back. Where
   * `capabilities.fragments` is false they are gathered, and nothing has left.
   */
  readonly sendFragments: <E, R>(
    fragments: Stream.Stream<Message, E, R>
  ) => Effect.Effect<void, E | ConnectionClosed, R>

  /**
   * Sends a ping and waits for its pong: the round-trip time, to the millisecond. Fails with `Unsupported` where
   * `capabilities.ping` is false. RFC 6455 §5.5.2.
   */
  readonly ping: Effect.Effect<Duration.Duration, ConnectionClosed | Unsupported>
  /**
   * Sends a pong that nobody asked for: a heartbeat in one direction, at most 125 bytes. Fails with `Unsupported`
   * where `capabilities.ping` is false. RFC 6455 §5.5.3.
   */
  readonly pong: (payload?: Uint8Array) => Effect.Effect<void, ConnectionClosed | Unsupported>
  /** The latest measured round-trip time, of our own pings and of keepalive's. */
  readonly latency: Effect.Effect<Option.Option<Duration.Duration>>

  /**
   * Starts the closing handshake and waits for its end.
   *
   * Completes when the peer has answered and ended its stream, or when
   * `closeTimeout` (10 seconds) is up, in which case the transport is cut.
   * Messages already received stay readable; what arrives after our close
   * frame is discarded. A second call waits for the first.
   *
   * Never fails: the connection is over either way, and the result says how.
   * A code or a reason that cannot be sent is a defect.
   *
   * @param close.code 1000 unless told otherwise; 3000–4999 are yours. Where `capabilities.closeCodes` is false, 3000 is
   * added to the others. RFC 6455 §7.4.
   * @param close.reason at most 123 bytes of UTF-8. RFC 6455 §5.5.
   * @see RFC 6455 §7.1.2
   */
  readonly close: (close?: Partial<Close>) => Effect.Effect<ConnectionClosed>
  /** Waits until nothing is left of the connection, and says how it ended. Never fails. */
  readonly closed: Effect.Effect<ConnectionClosed>
  readonly state: Effect.Effect<State>
  /** Bytes that were sent and have not left the process. */
  readonly bufferedAmount: Effect.Effect<number>
}

/** What can be read from: a connection, or several of them that are one to their reader. */
export type Readable = Pick<Connection, TypeId>

export const isConnection = (value: unknown): value is Connection =>
  typeof value === "object" && value !== null && TypeId in value

/**
 * Runs an effect for each message, one after the other, until the connection
 * ends: completes when the end is clean, fails with `ConnectionClosed`
 * otherwise, and with the first failure of the effect.
 *
 * The fastest way to receive. A message is taken just before its effect, so
 * interruption leaves the others where they are. It is noticed where an effect
 * waits: what is done at once, as a `send` that has room, is done for all
 * messages that are there in one step. Where it is all that a server's handler
 * does, there is no fiber before something has to be waited for.
 */
export const runForEach: {
  <A, E, R>(
    handle: (message: Message) => Effect.Effect<A, E, R>
  ): (connection: Readable) => Effect.Effect<void, E | ReceiveError, R>
  <A, E, R>(
    connection: Readable,
    handle: (message: Message) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, E | ReceiveError, R>
} = dual(
  2,
  <A, E, R>(
    connection: Readable,
    handle: (message: Message) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, E | ReceiveError, R> => connection[TypeId].forEach(handle)
)

/** The same for all messages that are there at a time: at least one. */
export const runForEachChunk: {
  <A, E, R>(
    handle: (messages: NonEmptyReadonlyArray<Message>) => Effect.Effect<A, E, R>
  ): (connection: Readable) => Effect.Effect<void, E | ReceiveError, R>
  <A, E, R>(
    connection: Readable,
    handle: (messages: NonEmptyReadonlyArray<Message>) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, E | ReceiveError, R>
} = dual(
  2,
  <A, E, R>(
    connection: Readable,
    handle: (messages: NonEmptyReadonlyArray<Message>) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, E | ReceiveError, R> => connection[TypeId].forEachChunk(handle)
)

/**
 * A connection as a duplex channel: what goes in is sent, what comes out was
 * received. The output ends with the connection; the end of the input leaves
 * it open, a failure of the input closes it with 1011 and is the output's too.
 */
export const toChannel = <IE = never>(
  connection: Connection
): Channel.Channel<Chunk.Chunk<Message>, Chunk.Chunk<Message>, ReceiveError | IE, IE, void, unknown> =>
  duplex({
    messages: connection.messages,
    sendAll: connection.sendAll,
    abort: connection.close({ code: CloseCode.InternalError })
  })

/**
 * A connection over a stream of bytes on which the opening handshake is done.
 * Leaving the scope runs the closing handshake with 1000 and waits for its end.
 */
export const make = (
  role: Role,
  stream: ByteStream,
  options: ConnectionOptions = {}
): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function* () {
    const framing = yield* Framing.Framing
    const engine = yield* makeEngine
    const settings = resolve(options)
    return yield* Effect.acquireRelease(
      Effect.sync(() =>
        openAlone(engine, {
          role,
          stream,
          settings,
          codecs: [],
          maskingKeys: framing.maskingKeys,
          pingPayloads: framing.pingPayloads,
          handshake: unknownHandshake
        })
      ),
      (connection) => connection.close()
    )
  })
