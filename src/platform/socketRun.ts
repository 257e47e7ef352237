import * as Socket from "@effect/platform/Socket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Connection, type Message, type ReceiveError, runForEach } from "../Connection.js"
import * as CloseCode from "../protocol/CloseCode.js"
import * as Frame from "../protocol/Frame.js"
import * as utf8 from "../protocol/utf8.js"
import { positive } from "../settings.js"
import { Handlings } from "./handlings.js"
import { closeError, writeError } from "./socketError.js"

/** What a socket is told beside how its connections are opened. */
export interface SocketOptions {
  /**
   * How many handlers may run at the same time: 256, and no more than hold 1,048,576 bytes of messages. With 1 each
   * has ended before the next begins, and before the run does.
   */
  readonly concurrency?: number | undefined
  /**
   * Whether a connection that ends with this code makes the run fail: true for all but 1000. 1006 is an end without
   * a closing handshake. RFC 6455 §7.4.1.
   */
  readonly closeCodeIsError?: ((code: number) => boolean) | undefined
}

export const defaultConcurrency = 256

export const defaultCloseCodeIsError = (code: number): boolean => code !== CloseCode.NormalClosure

export type SocketSettings = { readonly [K in keyof SocketOptions]-?: NonNullable<SocketOptions[K]> }

export const resolve = (options: SocketOptions): SocketSettings => ({
  concurrency: positive("concurrency", options.concurrency ?? defaultConcurrency),
  closeCodeIsError: options.closeCodeIsError ?? defaultCloseCodeIsError
})

// biome-ignore lint/suspicious/noConfusingVoidType: the result of a function that returns nothing.
export type Handler<A, E, R> = (message: Message) => Effect.Effect<A, E, R> | void

export interface RunOptions {
  readonly onOpen?: Effect.Effect<void> | undefined
}

export type Chunk = Message | Socket.CloseEvent

type Run = <A, E, R>(handler: Handler<A, E, R>, options?: RunOptions) => Effect.Effect<void, Socket.SocketError | E, R>

/** A socket of how it runs and how it writes. */
export const makeSocket = (run: Run, write: (chunk: Chunk) => Effect.Effect<void, Socket.SocketError>): Socket.Socket =>
  Socket.Socket.of({
    [Socket.TypeId]: Socket.TypeId,
    run: (handler, options) =>
      run((message) => handler(typeof message === "string" ? utf8.encode(message) : message), options),
    runRaw: run,
    writer: Effect.succeed(write)
  })

/** Sends a message, or runs the closing handshake. */
export const writeTo = (connection: Connection, chunk: Chunk): Effect.Effect<void, Socket.SocketError> =>
  Socket.isCloseEvent(chunk) ? closeWith(connection, chunk) : Effect.mapError(connection.send(chunk), writeError)

const closeWith = (
  connection: Connection,
  { code, reason = "" }: Socket.CloseEvent
): Effect.Effect<void, Socket.SocketError> =>
  CloseCode.isValid(code)
    ? // Reasons are often an error's message, and not made for the 123 bytes that there are.
      Effect.asVoid(connection.close({ code, reason: Frame.fitReason(reason) }))
    : Effect.fail(writeError(new RangeError(`${code} cannot be sent as a close code: use 1000 or 3000 to 4999`)))

/** Gives the messages of a connection to a handler until it ends, as it says, or a handler fails. */
export const runConnection = <A, E, R>(
  connection: Connection,
  { closeCodeIsError, concurrency }: SocketSettings,
  handler: Handler<A, E, R>,
  { onOpen = Effect.void }: RunOptions = {}
): Effect.Effect<void, Socket.SocketError | E, R> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<R>()
    const handlings = new Handlings(connection, runtime, concurrency, yield* Deferred.make<never, E>())
    const reading = runForEach(connection, (message) => {
      const handling = handler(message)
      return Effect.isEffect(handling) ? handlings.start(handling, message) : Exit.void
    }).pipe(
      // A clean end has a code as well, and who asks for more hears of it.
      Effect.zipRight(connection.receive),
      Effect.catchAll((error) => ended(error, closeCodeIsError))
    )
    // What is done on opening begins first, and may wait for messages.
    const beside = Effect.zipRight(onOpen, handlings.failed)
    yield* Effect.ensuring(Effect.raceFirst(beside, reading), handlings.interrupt)
  }).pipe(Effect.interruptible)

const ended = (error: ReceiveError, isError: (code: number) => boolean): Effect.Effect<void, Socket.SocketError> => {
  if (error._tag === "ConcurrencyError") {
    return Effect.fail(new Socket.SocketGenericError({ reason: "Read", cause: error }))
  }
  const closed = closeError(error)
  return isError(closed.code) ? Effect.fail(closed) : Effect.void
}
