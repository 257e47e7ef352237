import type * as Channel from "effect/Channel"
import type * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { AskTimeout } from "./AskTimeout.js"
import type { Connection, Readable } from "./Connection.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Coding } from "./coding.js"
import type { DecodeError } from "./DecodeError.js"
import { duplex } from "./duplex.js"
import type { EncodeError } from "./EncodeError.js"
import type { Message } from "./inbox.js"
import { invalidOf } from "./invalidMessage.js"
import type { Asks, Having, Protocol } from "./Protocol.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { ReceiveError } from "./reading.js"
import { TypedConnection, TypeId } from "./typedConnection.js"
import type { Invalid, TypedReading } from "./typedReading.js"
import { makeSender } from "./typedSender.js"

/**
 * A connection whose messages are values of two Schemas: what a `Protocol`
 * says that this end receives, and what it sends.
 *
 * Whoever takes a message decodes it, in its own fiber. Where both Schemas
 * need no Effect, that takes none.
 */

export { TypeId } from "./typedConnection.js"

/** What is typed: a `Connection`, or one of `Resume`. */
export interface Underlying
  extends Readable,
    Pick<Connection, "id" | "role" | "receive" | "sendAll" | "close" | "closed"> {
  readonly send: (message: Message) => Effect.Effect<void, ConnectionClosed>
}

/** What can be sent to. */
export interface Sender<in Out, out R = never> {
  /** Encodes a value and sends it, as `Connection.send` does. */
  readonly send: (value: Out) => Effect.Effect<void, EncodeError | ConnectionClosed, R>
  /** The same for values in order, which leave in as few writes as possible; none does where one cannot be encoded. */
  readonly sendAll: (values: Iterable<Out>) => Effect.Effect<void, EncodeError | ConnectionClosed, R>
}

/**
 * `E` is what receiving fails with beside the connection's end, and `R` what
 * the Schemas and the hook need. Keep it beside what is yours; spread into
 * another object it loses what it can receive.
 */
export interface SchemaConnection<
  in Out,
  out In,
  out E = DecodeError,
  out R = never,
  in Request = never,
  out Answer = never
> extends Sender<Out, R> {
  /** What the combinators of this module work on. */
  readonly [TypeId]: TypedReading<In, E, R>
  /** The connection itself: to close it, or to send what is none of the protocol's. */
  readonly raw: Underlying
  /**
   * Takes the next message, or waits for it. Interrupting it loses none.
   *
   * A message that is none of the protocol's is taken and becomes the error
   * `DecodeError`, unless `invalid` says otherwise; the next is there after
   * it. Fails as the `receive` of a connection does.
   */
  readonly receive: Effect.Effect<In, ReceiveError | E, R>
  /** All messages from here on, taken one by one. Ends when the connection ends cleanly, and fails otherwise. */
  readonly messages: Stream.Stream<In, ReceiveError | E, R>
  /**
   * Sends a request and waits for its answer, which nobody else receives;
   * other messages stay for whoever receives, be it at the same time or later:
   * 256 KiB of them, 64 bytes charged for each beside its content, and then no
   * more is read until somebody receives. A function is given a number for the
   * identifier, another one each time.
   *
   * Fails with `AskTimeout` when none has come within `timeout` (10 seconds),
   * and with what receiving fails with meanwhile. More than `maxAsks` (1,024)
   * at a time wait for each other, which `timeout` bounds too. A request whose
   * identifier another one has that waits is a defect.
   */
  readonly ask: (
    request: Request | ((id: number) => Request),
    options?: AskOptions
  ) => Effect.Effect<Answer, AskTimeout | EncodeError | ReceiveError | E, R>
}

export interface AskOptions {
  /** 10 seconds, unless the connection or this says otherwise. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** What becomes of messages that are none of the protocol's. */
export type InvalidPolicy = "fail" | "skip" | "close"

export interface Options<Policy extends InvalidPolicy, Out, R, E2, R2> {
  /**
   * What becomes of a message that is none of the protocol's: who receives
   * fails with `DecodeError`, or it is passed over, or the connection is
   * closed with `invalidCode` and who receives fails with `ConnectionClosed`.
   * `fail` unless told otherwise.
   */
  readonly invalid?: Policy | undefined
  /** 1003 for text where the codec has binary messages, or the other way round, else 1007. RFC 6455 §7.4.1. */
  readonly invalidCode?: number | undefined
  /** Run for each such message first, whatever becomes of it, by who receives: to tell the peer, or to count. */
  readonly onInvalid?: ((error: DecodeError, peer: Sender<Out, R>) => Effect.Effect<unknown, E2, R2>) | undefined
  /** How long an answer may take: 10 seconds. */
  readonly askTimeout?: Duration.DurationInput | undefined
  /** How many answers may be waited for at a time: 1,024. */
  readonly maxAsks?: number | undefined
}

export { defaults } from "./typedConnection.js"

/** What receiving fails with beside the connection's end. */
export type Failure<Policy extends InvalidPolicy, E> = E | ("fail" extends Policy ? DecodeError : never)

/** What the Schemas of a protocol need. */
export type Needs<Client extends Schema.Schema.All, Server extends Schema.Schema.All> =
  | Schema.Schema.Context<Client>
  | Schema.Schema.Context<Server>

/** A protocol as one end sees it. */
interface Sides<In, Out, R> {
  readonly incoming: Coding<In, R>
  readonly outgoing: Coding<Out, R>
  readonly asks: Asks<string, string> | undefined
}

const open = <In, Out, R, Policy extends InvalidPolicy, E, R2, Request, Answer>(
  raw: Underlying,
  { asks, incoming, outgoing }: Sides<In, Out, R>,
  options: Options<Policy, Out, R, E, R2>
): SchemaConnection<Out, In, Failure<Policy, E>, R | R2, Request, Answer> => {
  const sender = makeSender(raw, outgoing)
  const { askTimeout, maxAsks } = options
  // Under another policy than `fail` there is no DecodeError.
  const invalid = invalidOf(raw, sender, options) as Invalid<Failure<Policy, E>, R | R2>
  return new TypedConnection({ raw, incoming, sender, invalid, asks, askTimeout, maxAsks })
}

/** The server's end of a connection: receives what clients send, and sends what servers do. */
export const server = <
  Client extends Schema.Schema.All,
  Server extends Schema.Schema.All,
  Id extends string,
  Answers extends string,
  Policy extends InvalidPolicy = "fail",
  E = never,
  R = never
>(
  connection: Underlying,
  protocol: Protocol<Client, Server, Id, Answers>,
  options: Options<Policy, Schema.Schema.Type<Server>, Needs<Client, Server>, E, R> = {}
): SchemaConnection<
  Schema.Schema.Type<Server>,
  Schema.Schema.Type<Client>,
  Failure<Policy, E>,
  Needs<Client, Server> | R,
  Having<Schema.Schema.Type<Server>, Id>,
  Having<Schema.Schema.Type<Client>, Answers>
> =>
  open(
    connection,
    { incoming: protocol.codings.client, outgoing: protocol.codings.server, asks: protocol.asks },
    options
  )

/** The client's end of a connection: receives what servers send, and sends what clients do. */
export const client = <
  Client extends Schema.Schema.All,
  Server extends Schema.Schema.All,
  Id extends string,
  Answers extends string,
  Policy extends InvalidPolicy = "fail",
  E = never,
  R = never
>(
  connection: Underlying,
  protocol: Protocol<Client, Server, Id, Answers>,
  options: Options<Policy, Schema.Schema.Type<Client>, Needs<Client, Server>, E, R> = {}
): SchemaConnection<
  Schema.Schema.Type<Client>,
  Schema.Schema.Type<Server>,
  Failure<Policy, E>,
  Needs<Client, Server> | R,
  Having<Schema.Schema.Type<Client>, Id>,
  Having<Schema.Schema.Type<Server>, Answers>
> =>
  open(
    connection,
    { incoming: protocol.codings.server, outgoing: protocol.codings.client, asks: protocol.asks },
    options
  )

/** What can be received from. */
export type Receivable<In, E, R> = Pick<SchemaConnection<never, In, E, R>, TypeId>

/**
 * Runs an effect for each message, one after the other, until the connection
 * ends: completes when the end is clean, fails with `ConnectionClosed`
 * otherwise, and with the first failure of the effect or of receiving.
 *
 * The fastest way to receive, where the protocol has no `asks`.
 */
export const runForEach: {
  <In, A, E2, R2>(
    handle: (value: In) => Effect.Effect<A, E2, R2>
  ): <E, R>(connection: Receivable<In, E, R>) => Effect.Effect<void, E | E2 | ReceiveError, R | R2>
  <In, E, R, A, E2, R2>(
    connection: Receivable<In, E, R>,
    handle: (value: In) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<void, E | E2 | ReceiveError, R | R2>
} = dual(
  2,
  <In, E, R, A, E2, R2>(
    connection: Receivable<In, E, R>,
    handle: (value: In) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<void, E | E2 | ReceiveError, R | R2> => connection[TypeId].forEach(handle)
)

/**
 * A connection as a duplex channel: what goes in is sent, what comes out was
 * received. The output ends with the connection; the end of the input leaves
 * it open. A failure of the input, or a value that cannot be encoded, closes
 * it with 1011 and is the output's too.
 */
export const toChannel = <Out, In, E, R, IE = never>(
  connection: SchemaConnection<Out, In, E, R, never, unknown>
): Channel.Channel<Chunk.Chunk<In>, Chunk.Chunk<Out>, ReceiveError | EncodeError | E | IE, IE, void, unknown, R> =>
  duplex({
    messages: connection.messages,
    sendAll: connection.sendAll,
    abort: connection.raw.close({ code: CloseCode.InternalError })
  })
