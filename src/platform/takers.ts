import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Runtime from "effect/Runtime"
import type { Connection } from "../Connection.js"
import { adopted } from "./adopted.js"

/** Deals with a connection, in the fiber of the server's handler. */
export type Taker = (connection: Connection) => Effect.Effect<void, unknown>

/** Who takes a server's connections: nobody at first, and then the latest who has come and not left. */
export class Takers {
  private takers: ReadonlyArray<Taker> = []
  private readonly waiting = new Set<(taker: Taker) => void>()

  /** Waits until somebody takes connections. */
  get next(): Effect.Effect<Taker> {
    return Effect.async<Taker>((resume) => {
      const latest = this.takers.at(-1)
      if (latest !== undefined) {
        resume(Effect.succeed(latest))
        return
      }
      const take = (taker: Taker) => resume(Effect.succeed(taker))
      this.waiting.add(take)
      return Effect.sync(() => this.waiting.delete(take))
    })
  }

  /** Takes connections until it is interrupted, and interrupts their handlers then. */
  take<A, E, R>(
    handler: (connection: Connection) => Effect.Effect<A, E, R>,
    runtime: Runtime.Runtime<R>
  ): Effect.Effect<never> {
    const fibers = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
    const taker: Taker = (connection) =>
      Effect.withFiberRuntime((fiber) => {
        fibers.add(fiber)
        fiber.addObserver(() => fibers.delete(fiber))
        return Effect.catchAllCause(within(runtime, handler(connection)), (cause) => ended(connection, cause))
      })
    return Effect.async<never>((_resume) => {
      this.takers = [...this.takers, taker]
      for (const take of this.waiting) take(taker)
      this.waiting.clear()
      return Effect.suspend(() => {
        this.takers = this.takers.filter((other) => other !== taker)
        return Fiber.interruptAll(fibers)
      })
    })
  }
}

/** Runs an effect as if whoever has this runtime had forked it: with its services over ours, its loggers, its annotations. */
const within = <A, E, R>(runtime: Runtime.Runtime<R>, effect: Effect.Effect<A, E, R>): Effect.Effect<void, E> =>
  Effect.withFiberRuntime((fiber) => {
    const own = fiber.currentContext
    const provided = Effect.mapInputContext(effect, (_: Context.Context<never>) => Context.merge(own, runtime.context))
    return Effect.asVoid(adopted(runtime.fiberRefs, provided))
  })

/** A handler that fails because its connection is over has seen a normal end. */
const ended = <E>(connection: Connection, cause: Cause.Cause<E>): Effect.Effect<void, E> => {
  const failed = Effect.failCause(cause)
  if (!Socket.isSocketError(Cause.squash(cause))) return failed
  return Effect.flatMap(connection.state, ({ _tag }) => (_tag === "Open" ? failed : Effect.void))
}
