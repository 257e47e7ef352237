import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Intervals from "effect/ScheduleIntervals"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { ConcurrencyError } from "./ConcurrencyError.js"
import type { Connection, Message } from "./Connection.js"
import { ConnectionClosed, isClean } from "./ConnectionClosed.js"
import { mergeHeaders } from "./offer.js"
import { defaultSchedule, isTemporary, isTransient, retryAfter } from "./reconnectPolicy.js"
import { milliseconds } from "./settings.js"
import { type ConnectError, type ConnectOptions, connect, type WebSocketClient } from "./WebSocketClient.js"

export { defaultSchedule, isTemporary, isTransient } from "./reconnectPolicy.js"

/** Where a client has got to. Attempts are counted from 1, and anew after a connection that lasted `stableAfter`. */
export type State =
  /** Nothing has begun. */
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Connecting"; readonly attempt: number }
  /** There is a connection, until its end is noticed by whoever uses it. */
  | { readonly _tag: "Connected"; readonly connection: Connection }
  /** The next attempt is then, because of the error that the last one or the last connection ended with. */
  | { readonly _tag: "Waiting"; readonly attempt: number; readonly until: DateTime.Utc; readonly because: unknown }
  /** No other connection will come; with the error, if there is one. */
  | { readonly _tag: "Stopped"; readonly exit: Exit.Exit<unknown, unknown> }

/** What can be observed: `state.changes` is a stream, `state.get` the state now. */
export const makeState: Effect.Effect<SubscriptionRef.SubscriptionRef<State>> = SubscriptionRef.make<State>({
  _tag: "Idle"
})

/**
 * Where to connect: a URI, or an Effect that is run for each attempt, for a
 * fresh token. It gives a URI or both arguments of `WebSocketClient.connect`,
 * whose options replace those that are given beside it, except that its
 * `headers` are added and replace only those of the same name. What it acquires
 * is released with the connection. A failure of it is for good unless
 * `isTransient` says otherwise.
 */
export type Target<E = never, R = never> =
  | string
  | URL
  | Effect.Effect<string | URL | readonly [uri: string | URL, options: ConnectOptions], E, R>

/** How to reconnect, and the options of each connection. */
export interface ReconnectOptions<E = never, R = never> extends ConnectOptions {
  /** When to try again, `defaultSchedule` unless told otherwise. It is given the error; where it ends, that error is the result. */
  readonly schedule?: Schedule.Schedule<unknown, ConnectError | ConnectionClosed | E, R> | undefined
  /** A connection that lasted so long was a good one, and the schedule starts over: 10 seconds. */
  readonly stableAfter?: Duration.DurationInput | undefined
  /** The longest time that a `Retry-After` with a 503 or 429, a proxy's too, is waited for: 5 minutes. */
  readonly maxRetryAfter?: Duration.DurationInput | undefined
  /** Whether another attempt may succeed where one failed so: `isTransient` of this module unless told otherwise. */
  readonly isTransient?: ((error: ConnectError | E) => boolean) | undefined
  /** Whether to connect again after a connection that ended so: `isTemporary` of this module unless told otherwise. */
  readonly isTemporary?: ((closed: ConnectionClosed) => boolean) | undefined
  /** Is told what happens; made with `makeState`. */
  readonly state?: SubscriptionRef.SubscriptionRef<State> | undefined
}

export const defaults = { stableAfter: "10 seconds", maxRetryAfter: "5 minutes" } as const

/** Why there are no more connections, beside a failure of the target's own. */
export type ReconnectError = ConnectError | ConnectionClosed

/**
 * Runs a handler for each connection, one connection after the other, and
 * connects again when one is lost.
 *
 * The first attempt is made at once, the others when the schedule says so.
 * Each connection has a fresh `Scope`, which ends with the handler. As on a
 * server, the handler is not interrupted when its connection ends: it learns
 * of that from its next operation. Once it has returned, or has failed with
 * its connection's `ConnectionClosed`, the way in which the connection ended
 * decides whether there is another (`isTemporary`).
 *
 * Completes when the handler returns while its connection is open, which
 * closes that with 1000, and when a connection has ended for good and cleanly
 * or to the handler's content. Fails with what the handler fails with, with
 * the first error that is not transient, and with `ConnectionClosed` where a
 * connection has ended for good and not cleanly. Interrupting it at any point
 * leaves nothing.
 */
export const run = <A, E, R, E2 = never, R2 = never, R3 = never>(
  target: Target<E2, R2>,
  handler: (connection: Connection) => Effect.Effect<A, E, R>,
  options: ReconnectOptions<NoInfer<E2>, R3> = {}
): Effect.Effect<
  void,
  E | E2 | ReconnectError,
  WebSocketClient | Exclude<R, Scope.Scope> | Exclude<R2, Scope.Scope> | R3
> =>
  Effect.suspend(() => {
    const attempts = new Attempts(target, options)
    const once = Effect.scoped(
      Effect.flatMap(attempts.connect, (connection) =>
        Effect.flatMap(attend(connection, handler), (end) =>
          end === undefined ? Effect.succeed(false) : attempts.goesOn(end.closed, end.isHandled)
        )
      )
    )
    return Effect.onExit(Effect.asVoid(Effect.iterate(true, { while: identity, body: () => once })), attempts.stopped)
  })

/** How a handler's connection has ended; undefined where the handler returned before. */
type End = { readonly closed: ConnectionClosed; readonly isHandled: boolean } | undefined

const attend = <A, E, R>(
  connection: Connection,
  handler: (connection: Connection) => Effect.Effect<A, E, R>
): Effect.Effect<End, E, R> => {
  const end: Effect.Effect<ConnectionClosed | undefined> = Effect.flatMap(connection.state, (state) =>
    state._tag === "Open" ? Effect.succeed(undefined) : connection.closed
  )
  return Effect.matchEffect(
    Effect.suspend(() => handler(connection)),
    {
      onSuccess: () => Effect.map(end, (closed): End => closed && { closed, isHandled: true }),
      onFailure: (error) =>
        Effect.flatMap(error instanceof ConnectionClosed ? end : Effect.succeed(undefined), (closed) =>
          // One that is another connection's is a failure like any other.
          error instanceof ConnectionClosed && closed !== undefined && error.closure === closed.closure
            ? Effect.succeed<End>({ closed, isHandled: false })
            : Effect.fail(error)
        )
    }
  )
}

/**
 * The connections to a server, one after the other, as long as there is to be
 * another.
 *
 * The first attempt is made at once, the others when the schedule says so.
 * Asking for the next connection waits until the one before is over, however
 * early that is asked: to have another, close it with 1012. Leaving the stream
 * closes the current one with 1000. How a connection ended decides whether
 * there is another (`isTemporary`); if not, the stream ends when that was
 * clean and fails with `ConnectionClosed` otherwise. It fails with the first
 * error that is not transient.
 */
export const connections = <E = never, R = never, R2 = never>(
  target: Target<E, R>,
  options: ReconnectOptions<NoInfer<E>, R2> = {}
): Stream.Stream<Connection, E | ReconnectError, WebSocketClient | Exclude<R, Scope.Scope> | R2> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const attempts = new Attempts(target, options)
      const scope = yield* Effect.scope
      // The first of the scope's finalizers and so the last to run.
      yield* Scope.addFinalizerExit(scope, attempts.stopped)
      let held: { readonly connection: Connection; readonly scope: Scope.CloseableScope } | undefined
      const over = Effect.suspend(() => {
        if (held === undefined) return Effect.succeed(true)
        const { connection, scope } = held
        return Effect.flatMap(connection.closed, (closed) => {
          held = undefined
          return Effect.zipRight(Scope.close(scope, Exit.void), attempts.goesOn(closed, false))
        })
      })
      const next = Effect.gen(function* () {
        if (!(yield* Effect.mapError(over, Option.some))) return yield* Effect.fail(Option.none())
        const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
        const connection = yield* Effect.mapError(Scope.extend(attempts.connect, own), Option.some)
        held = { connection, scope: own }
        return connection
      })
      return Stream.repeatEffectOption(next)
    })
  )

/**
 * The messages of one connection after the other, as one stream. What is sent
 * while there is no connection is lost: see `Resume` where it must not be.
 *
 * Ends and fails as `connections` does.
 */
export const messages = <E = never, R = never, R2 = never>(
  target: Target<E, R>,
  options: ReconnectOptions<NoInfer<E>, R2> = {}
): Stream.Stream<Message, E | ReconnectError | ConcurrencyError, WebSocketClient | Exclude<R, Scope.Scope> | R2> =>
  Stream.flatMap(connections(target, options), ({ messages }) =>
    Stream.catchTag(messages, "ConnectionClosed", () => Stream.empty)
  )

/** The last millisecond that a date can be: a schedule may wait for ever. */
const LATEST = 8_640_000_000_000_000

/** The attempts of one client: which one this is, and why there was one before. */
class Attempts<E, R, R2> {
  private readonly target: Target<E, R>
  private readonly options: ConnectOptions
  private readonly schedule: NonNullable<ReconnectOptions<E, R2>["schedule"]>
  private readonly stableAfter: number
  private readonly maxRetryAfter: number
  private readonly isTransient: (error: ConnectError | E) => boolean
  private readonly isTemporary: (closed: ConnectionClosed) => boolean
  private readonly state: SubscriptionRef.SubscriptionRef<State> | undefined

  private attempt = 1
  private step: unknown
  private connectedAt = 0
  /** What ended the last attempt, or the last connection. */
  private because: ConnectError | ConnectionClosed | E | undefined

  constructor(target: Target<E, R>, options: ReconnectOptions<E, R2>) {
    const {
      schedule,
      stableAfter,
      maxRetryAfter,
      isTransient: transient,
      isTemporary: temporary,
      state,
      ...rest
    } = options
    this.target = target
    this.options = rest
    this.schedule = schedule ?? defaultSchedule
    this.step = this.schedule.initial
    this.stableAfter = milliseconds("stableAfter", stableAfter ?? defaults.stableAfter)
    this.maxRetryAfter = milliseconds("maxRetryAfter", maxRetryAfter ?? defaults.maxRetryAfter)
    this.isTransient = transient ?? isTransient
    this.isTemporary = temporary ?? isTemporary
    this.state = state
  }

  /** Tries until there is a connection, or an error that is for good. The connection is the scope's. */
  get connect(): Effect.Effect<
    Connection,
    E | ReconnectError,
    WebSocketClient | Scope.Scope | Exclude<R, Scope.Scope> | R2
  > {
    const attempts = this
    return Effect.gen(function* () {
      for (;;) {
        if (attempts.because !== undefined) yield* attempts.wait(attempts.because)
        yield* attempts.publish({ _tag: "Connecting", attempt: attempts.attempt })
        const dialled = yield* Effect.either(attempts.dial)
        if (Either.isRight(dialled)) {
          attempts.connectedAt = yield* Clock.currentTimeMillis
          yield* attempts.publish({ _tag: "Connected", connection: dialled.right })
          return dialled.right
        }
        if (!attempts.isTransient(dialled.left)) return yield* Effect.fail(dialled.left)
        attempts.failed(dialled.left)
      }
    })
  }

  /** One attempt, in a scope of its own that is the connection's or ends with the failure. */
  private get dial() {
    const { target, options } = this
    const connected = Effect.isEffect(target)
      ? Effect.flatMap(target, (given) =>
          typeof given === "string" || given instanceof URL
            ? connect(given, options)
            : connect(given[0], { ...options, ...given[1], headers: mergeHeaders(options.headers, given[1].headers) })
        )
      : connect(target, options)
    return Effect.flatMap(Effect.scope, (scope) =>
      Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (own) =>
        Effect.onError(Scope.extend(connected, own), (cause) => Scope.close(own, Exit.failCause(cause)))
      )
    )
  }

  private wait(because: ConnectError | ConnectionClosed | E) {
    const attempts = this
    return Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const [step, , decision] = yield* attempts.schedule.step(now, because, attempts.step)
      attempts.step = step
      if (decision._tag === "Done") return yield* Effect.fail(because)
      const asked = Math.min(retryAfter(because, now), attempts.maxRetryAfter)
      const delay = Math.max(Intervals.start(decision.intervals) - now, asked, 0)
      const until = DateTime.unsafeMake(Math.min(now + delay, LATEST))
      yield* attempts.publish({ _tag: "Waiting", attempt: attempts.attempt, until, because })
      yield* Effect.sleep(Duration.millis(delay))
    })
  }

  /** Whether there is another connection after one that ended so. Where not, an end that is neither clean nor handled is an error. */
  goesOn(closed: ConnectionClosed, isHandled: boolean): Effect.Effect<boolean, ConnectionClosed> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (!this.isTemporary(closed)) {
        return isHandled || isClean(closed) ? Effect.succeed(false) : Effect.fail(closed)
      }
      if (now - this.connectedAt >= this.stableAfter) {
        this.attempt = 0
        this.step = this.schedule.initial
      }
      this.failed(closed)
      return Effect.succeed(true)
    })
  }

  private failed(because: ConnectError | ConnectionClosed | E): void {
    this.attempt++
    this.because = because
  }

  private publish(state: State): Effect.Effect<void> {
    return this.state === undefined ? Effect.void : SubscriptionRef.set(this.state, state)
  }

  /** No other attempt will be made. */
  get stopped() {
    return (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => this.publish({ _tag: "Stopped", exit })
  }
}
