import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type { Connection, Message } from "../Connection.js"

/** No more handlers begin while those that run hold so many bytes of messages. */
export const maxBytesHandled = 1_048_576

/**
 * The handlers of one connection's messages that run at the same time, up to
 * a bound: at the bound no message is taken, and so the peer is stopped.
 */
export class Handlings<E, R> {
  private readonly connection: Connection
  private readonly fork: (effect: Effect.Effect<unknown, E, R>) => Fiber.RuntimeFiber<unknown, E>
  private readonly limit: number
  private readonly running = new Set<Fiber.RuntimeFiber<unknown, E>>()
  private readonly failure: Deferred.Deferred<never, E>
  private bytes = 0
  private isOver = false
  private whenRoomy: (() => void) | undefined

  constructor(
    connection: Connection,
    runtime: Runtime.Runtime<R>,
    limit: number,
    failure: Deferred.Deferred<never, E>
  ) {
    this.connection = connection
    this.fork = Runtime.runFork(runtime)
    this.limit = limit
    this.failure = failure
  }

  /** Fails with the first handler that does; never completes otherwise. */
  get failed(): Effect.Effect<never, E> {
    return Deferred.await(this.failure)
  }

  /** Starts a handler, in the order of messages. Completes when there is room for another. */
  start(handler: Effect.Effect<unknown, E, R>, message: Message): Effect.Effect<void> {
    const fiber = this.fork(handler)
    const exit = fiber.unsafePoll()
    // Most handlers are done by now.
    if (exit !== null) {
      this.ended(exit)
      return Exit.void
    }
    this.running.add(fiber)
    this.bytes += message.length
    fiber.addObserver((exit) => {
      this.running.delete(fiber)
      this.bytes -= message.length
      this.ended(exit)
      if (!this.isFull) this.whenRoomy?.()
    })
    return this.isFull ? this.room : Exit.void
  }

  /** Interrupts the handlers that still run, and waits for them. */
  get interrupt(): Effect.Effect<void> {
    return Effect.suspend(() => (this.running.size === 0 ? Effect.void : Fiber.interruptAll(this.running)))
  }

  private ended(exit: Exit.Exit<unknown, E>): void {
    if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) {
      Deferred.unsafeDone(this.failure, Exit.failCause(exit.cause))
    }
  }

  private get isFull(): boolean {
    return !this.isOver && (this.running.size >= this.limit || this.bytes > maxBytesHandled)
  }

  private get room(): Effect.Effect<void> {
    const roomy = Effect.async<void>((resume) => {
      const proceed = () => {
        this.whenRoomy = undefined
        resume(Effect.void)
      }
      // The fiber comes here a step later.
      if (this.isFull) this.whenRoomy = proceed
      else proceed()
    })
    // One at a time means that, to the last message.
    if (this.limit === 1) return roomy
    // Handlers may wait for what never comes any more. What is left in the inbox is bounded, and nobody fills it again.
    const over = Effect.map(this.connection.closed, () => {
      this.isOver = true
    })
    return Effect.raceFirst(roomy, over)
  }
}
