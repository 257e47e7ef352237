import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Subscribable from "effect/Subscribable"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Connection, Message, Readable } from "./Connection.js"
import { ConnectionClosed } from "./ConnectionClosed.js"
import * as CloseCode from "./protocol/CloseCode.js"
import * as Envelope from "./protocol/Envelope.js"
import { type Close, type Violation, violation } from "./protocol/Frame.js"
import * as Reconnecting from "./Reconnecting.js"
import { type Parts, Session } from "./session.js"
import { endedWith, endOf, gap, logDefect, type State } from "./sessionState.js"
import { makeStore, type SessionStore, serve, storeClosed, survives, unknown } from "./sessionStore.js"
import { defaults as connectionDefaults, milliseconds, positive } from "./settings.js"
import type { WebSocketClient } from "./WebSocketClient.js"

/**
 * Sessions that survive their connections: when one is lost the client comes
 * back, both ends replay what the other has not received, and neither program
 * notices more than a pause. Every message is delivered once and in order, in
 * both directions, as long as both processes live.
 *
 * Both ends have to be this module: they agree on `subprotocol` and wrap what
 * they send. A text message of the program is a text message as it is. Every
 * binary message begins with one byte that says what it is, and that counts
 * for the `maxMessageSize` of what carries it; a number is at
 * least 0 and stands in as few bytes as possible, seven bits in each, the
 * lowest first, where all but the last have the highest bit set (LEB128):
 *
 * | byte | bytes behind it | from | what it says |
 * |---|---|---|---|
 * | 0 | content | both | a binary message of the program |
 * | 1 | number, then 0 or 16 bytes | client | hello, first: so many messages were received in this session, or begin one |
 * | 2 | number, 16 bytes | server | welcome, first: so many messages were received, this is the session |
 * | 3 | number | both | the next message of the program has this number; they are counted from 1 |
 * | 4 | number | both | all messages up to this number were taken by the program |
 * | 5 | none | server | first: the session is unknown; the connection is then closed with 1008 |
 * | 6 | none | both | last: the session ends with the close frame that follows, whatever its code |
 *
 * The client's hello comes before anything else and the server's answer
 * before anything of its own. Then each side says the number of the first
 * message that the other has not received, and sends from there; the order on
 * a connection says the numbers of the others. A message whose number has come
 * before is dropped. Whatever does not fit is answered by closing with 1002.
 *
 * Neither side ever stops reading, as acknowledgements come behind messages.
 * What a program is slow to take is not acknowledged and so fills the replay
 * buffer of the other end, whose `send` waits. A peer that sends on all the
 * same is closed with 1008 once twice `maxReplayBytes` and
 * `receiveHighWaterMark` of our own wait to be taken: where one end has much
 * more than the other's `maxReplayBytes`, the other needs it too. As anywhere,
 * two programs that only send while neither takes anything wait for each other.
 *
 * How a connection ends decides about the session. Unless the peer has said
 * that it ends, it goes on after 1001, 1006 and 1011 to 1014, and is over after
 * all others, 1000 among them.
 */

export type { Carrier, State } from "./sessionState.js"

/** The subprotocol that both ends have to agree on. RFC 6455 §1.9. */
export const subprotocol = "resume.effect-websockets.1"

/**
 * A connection that survives the loss of what carries it. What it has in
 * common with `Connection` is the same, except that `send` completes when the
 * message is in the replay buffer and waits while that is full, and that
 * neither end notices a connection that is lost.
 *
 * When it is over everything fails with `ConnectionClosed`, whose cause is
 * `Gap` where messages are lost: the session is unknown to the server, as it
 * has expired or the server was started anew, or a replay buffer was too small.
 */
export interface ResumableConnection
  extends Readable,
    Pick<
      Connection,
      "id" | "role" | "receive" | "receiveText" | "receiveBytes" | "receiveAll" | "messages" | "sendAll" | "closed"
    > {
  readonly send: (message: Message) => Effect.Effect<void, ConnectionClosed>
  /**
   * Lets everything that was sent go, closes for good, and waits for the end.
   * A client that is away gives up at once; a server waits for its client
   * until the session expires. Never fails; a code or a reason that cannot be
   * sent is a defect.
   */
  readonly close: (close?: Partial<Close>) => Effect.Effect<ConnectionClosed>
  /** Whether there is a connection now, and which: `state.get` and the stream `state.changes`. */
  readonly state: Subscribable.Subscribable<State>
}

/** How much is kept for a peer that is away. */
export interface SessionOptions {
  /** Bytes of sent messages that the peer's program has not taken, 64 charged for each beside its content: 1,048,576. */
  readonly maxReplayBytes?: number | undefined
  /** The same as a count: 4,096. */
  readonly maxReplayMessages?: number | undefined
  /**
   * What `send` does while the buffer is full and there is no connection: it
   * waits, or the session ends with a gap. `suspend` unless told otherwise.
   */
  readonly whenFull?: "suspend" | "end" | undefined
  /**
   * Bytes of messages that may wait to be taken beside twice `maxReplayBytes`,
   * 64 charged for each beside its content: 262,144. A client's connections
   * stop reading at it too, as `Connection` says.
   */
  readonly receiveHighWaterMark?: number | undefined
  /** How long `close` and leaving the scope may take to send what is kept: 10 seconds. */
  readonly closeTimeout?: Duration.DurationInput | undefined
}

export const defaults = {
  maxReplayBytes: 1_048_576,
  maxReplayMessages: 4_096,
  whenFull: "suspend",
  helloTimeout: "10 seconds",
  expiry: "60 seconds",
  maxAway: 1_000
} as const

/** Whether an operation failed since messages are lost: a client may connect anew and begin from the start. */
export const isGap = (error: unknown): error is ConnectionClosed =>
  error instanceof ConnectionClosed && error.closure.cause?._tag === "Gap"

const makeSession = (
  options: SessionOptions,
  parts: Pick<Parts, "role" | "survives" | "abandon" | "onOver">
): Effect.Effect<Session> =>
  Effect.map(
    SubscriptionRef.make<State>({ _tag: "Away" }),
    (states) =>
      new Session({
        ...parts,
        states,
        settings: {
          maxReplayBytes: positive("maxReplayBytes", options.maxReplayBytes ?? defaults.maxReplayBytes),
          maxReplayMessages: positive("maxReplayMessages", options.maxReplayMessages ?? defaults.maxReplayMessages),
          whenFull: options.whenFull ?? defaults.whenFull,
          receiveHighWaterMark: positive(
            "receiveHighWaterMark",
            options.receiveHighWaterMark ?? connectionDefaults.receiveHighWaterMark
          ),
          closeTimeout: milliseconds("closeTimeout", options.closeTimeout ?? connectionDefaults.closeTimeout)
        }
      })
  )

/** The first thing that the other end says. */
const first = (
  connection: Connection,
  late: Violation
): Effect.Effect<Envelope.Envelope | Violation, ConnectionClosed> =>
  connection.receive.pipe(
    Effect.map(Envelope.decode),
    // Nobody else has the connection.
    Effect.catchTag("ConcurrencyError", (error) => Effect.die(error)),
    Effect.timeoutTo({ duration: defaults.helloTimeout, onSuccess: identity, onTimeout: () => late })
  )

// The client

const noWelcome = violation(CloseCode.TryAgainLater, "no welcome within 10 seconds")

/**
 * Begins a session, and keeps it until the scope closes.
 *
 * Completes when the server has welcomed it; interrupted before, it dials no
 * more, be its scope open or not. When a connection is lost,
 * others follow as `Reconnecting` says and `options` tell. Leaving the scope
 * sends what is kept and closes with 1000, which takes at most `closeTimeout`
 * twice; without a connection it is at once.
 *
 * Fails as `Reconnecting.run` does where there never was a connection. Later
 * such a failure ends the session, and is the cause in its `ConnectionClosed`.
 * So is a defect of `options` or the target, which is logged; before, it is
 * one of this effect.
 *
 * The identifier of the session lets whoever knows it take the session over:
 * outside of tests it should only travel over `wss`.
 */
export const connect = <E = never, R = never, R2 = never>(
  target: Reconnecting.Target<E, R>,
  options: SessionOptions & Omit<Reconnecting.ReconnectOptions<NoInfer<E>, R2>, "subprotocols"> = {}
): Effect.Effect<
  ResumableConnection,
  E | Reconnecting.ReconnectError,
  WebSocketClient | Exclude<R, Scope.Scope> | R2 | Scope.Scope
> =>
  Effect.gen(function* () {
    const { isTemporary = Reconnecting.isTemporary } = options
    const opened = yield* Deferred.make<void, E | Reconnecting.ReconnectError>()
    let running: Fiber.RuntimeFiber<unknown, unknown> | undefined
    const session = yield* makeSession(options, {
      role: "client",
      survives: (closed, isEnding) => !isEnding && isTemporary(closed),
      abandon: Effect.suspend(() => (running === undefined ? Effect.void : Fiber.interrupt(running))),
      onOver: () => running?.unsafeInterruptAsFork(FiberId.none)
    })
    let id: Uint8Array | undefined
    let last: ConnectionClosed | undefined
    const carry = (connection: Connection) =>
      Effect.gen(function* () {
        yield* connection.send(Envelope.encode({ _tag: "Hello", received: session.received, session: id }))
        const answer = yield* first(connection, noWelcome)
        if (answer._tag === "Unknown" && id !== undefined) return yield* session.end(gap(undefined))
        if (answer._tag !== "Welcome" || (id !== undefined && !isSame(id, answer.session))) {
          last = yield* connection.close(answer._tag === "Violation" ? answer : Envelope.outOfPlace)
          return
        }
        id = answer.session
        const carried = session.attend(connection, answer.received, () => [])
        yield* Deferred.succeed(opened, undefined)
        last = yield* Effect.catchAll(carried, (fault) => connection.close(fault))
      }).pipe(
        Effect.tapError((closed) =>
          Effect.sync(() => {
            last = closed
          })
        )
      )
    const run = Reconnecting.run(resuming(target), carry, {
      ...options,
      subprotocols: [subprotocol],
      isTemporary: (closed) => !session.isEnding && isTemporary(closed)
    }).pipe(
      Effect.onExit((exit) => {
        const isInterrupted = Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)
        const cause =
          Exit.isFailure(exit) && !isInterrupted ? exit.cause : Cause.fail(last ?? endedWith({ initiator: "local" }))
        return Effect.zipRight(
          session.end(endOf(cause)),
          Effect.flatMap(Deferred.failCause(opened, cause), (isTold) => (isTold ? Effect.void : logDefect(cause)))
        )
      })
    )
    const begin = Effect.acquireRelease(
      Effect.map(Effect.forkDaemon(Effect.interruptible(run)), (fiber) => {
        running = fiber
        return fiber
      }),
      (fiber) =>
        Effect.suspend(() => {
          session.finish({ code: CloseCode.NormalClosure, reason: "" })
          return session.isAttached ? Fiber.await(fiber) : Fiber.interrupt(fiber)
        })
    )
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(begin, (fiber) =>
        Effect.onInterrupt(restore(Deferred.await(opened)), () => Fiber.interrupt(fiber))
      ).pipe(Effect.as(session))
    )
  })

/** A target of sessions, whatever subprotocols its own options ask for. */
const resuming = <E, R>(target: Reconnecting.Target<E, R>): Reconnecting.Target<E, R> =>
  Effect.isEffect(target)
    ? Effect.map(target, (given) =>
        typeof given === "string" || given instanceof URL
          ? given
          : ([given[0], { ...given[1], subprotocols: [subprotocol] }] as const)
      )
    : target

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i])

// The server

/** Where the identifiers of sessions come from: 16 unpredictable bytes for each. Replaced below the layer of `Sessions`. */
export class SessionIds extends Context.Reference<SessionIds>()("effect-websockets/Resume/SessionIds", {
  defaultValue: () => ({ next: (): Uint8Array => crypto.getRandomValues(new Uint8Array(Envelope.sessionLength)) })
}) {}

/** The sessions of a server, in this process: another one does not know them. */
export class Sessions extends Context.Tag("effect-websockets/Resume/Sessions")<
  Sessions,
  {
    /** How many there are, with those that wait for their client. */
    readonly size: Effect.Effect<number>
    /** @internal */
    readonly store: SessionStore
  }
>() {}

export interface StoreOptions {
  /** How long a session waits for its client to come back: 60 seconds. */
  readonly expiry?: Duration.DurationInput | undefined
  /** How many sessions may wait at a time; with more, the one that has waited longest is over: 1,000. */
  readonly maxAway?: number | undefined
}

/**
 * Keeps sessions until they are over, and runs their handlers. When its scope
 * closes the handlers are interrupted: provide it to the server's layer, so
 * that the server stops first. Where it is closed and the server is not, as
 * where it was provided only to what builds that, each client is closed with
 * 1008 and an error is logged.
 */
export const layer = (options: StoreOptions = {}): Layer.Layer<Sessions> =>
  Layer.scoped(
    Sessions,
    Effect.gen(function* () {
      const ids = yield* SessionIds
      const settings = {
        expiry: milliseconds("expiry", options.expiry ?? defaults.expiry),
        maxAway: positive("maxAway", options.maxAway ?? defaults.maxAway)
      }
      const store = yield* makeStore(settings, ids.next)
      return { size: Effect.sync(() => store.size), store }
    })
  )

export interface HandlerOptions<R = never> extends SessionOptions {
  /**
   * Whose the session is, such as the name of the principal that `onRequest`
   * has found: run for every connection with its services. To a connection of
   * anybody else, by `Equal.equals`, the session is unknown. Without it, a
   * session is of whoever has its identifier.
   */
  readonly owner?: Effect.Effect<unknown, never, R> | undefined
}

const noHello = violation(CloseCode.PolicyViolation, "no hello within 10 seconds")
/**
 * A server's handler that runs another one for each session, for a server
 * whose `subprotocols` are `[Resume.subprotocol]`.
 *
 * The handler is run once for a session, in a fiber and a `Scope` of its own,
 * with the services of its first connection. Its end closes the session as it
 * closes a connection, with 1000, 1001 or 1011, once the client has been sent
 * everything; a client that is away has until the session expires to come for
 * it. A session that expires ends as its last connection did.
 *
 * Only this handler goes on with the sessions that it has begun, whatever else
 * is served from the same layer: make it once, not for each connection. Where
 * clients are told apart, say by whom with `owner`.
 *
 * What `onRequest` acquires is released with the connection that it was
 * acquired for, also where the handler has it from the session's first one and
 * goes on: acquire in the handler what it needs for as long as it runs.
 */
export const handler = <A, E, R, R2 = never>(
  handle: (connection: ResumableConnection) => Effect.Effect<A, E, R>,
  options: HandlerOptions<R2> = {}
) => {
  const self = {}
  return (connection: Connection): Effect.Effect<void, ConnectionClosed, Sessions | Exclude<R, Scope.Scope> | R2> =>
    Effect.gen(function* () {
      const { store } = yield* Sessions
      const hello = yield* first(connection, noHello)
      if (hello._tag !== "Hello") {
        yield* connection.close(hello._tag === "Violation" ? hello : Envelope.outOfPlace)
        return
      }
      if (hello.session === undefined && hello.received > 0) {
        yield* connection.close(Envelope.neverSent)
        return
      }
      if (store.isClosed) {
        yield* Effect.logError(storeClosed.reason)
        yield* connection.close(storeClosed)
        return
      }
      const keeper = { handler: self, owner: yield* options.owner ?? Effect.void }
      const { id, session } =
        hello.session === undefined
          ? yield* store.open(
              keeper,
              (onOver) => makeSession(options, { role: "server", survives, abandon: Effect.void, onOver }),
              (session) => serve(session, handle)
            )
          : { id: hello.session, session: store.find(hello.session, keeper) }
      if (session === undefined) {
        yield* connection.send(Envelope.encode({ _tag: "Unknown" }))
        yield* connection.close(unknown)
        return
      }
      const welcome = (received: number) => [Envelope.encode({ _tag: "Welcome", received, session: id })]
      store.isBack(session)
      yield* session.attend(connection, hello.received, welcome).pipe(
        Effect.catchAll((fault) => connection.close(fault)),
        Effect.onExit((exit) => Effect.sync(() => store.isAway(session, Exit.isSuccess(exit) ? exit.value : undefined)))
      )
    })
}
