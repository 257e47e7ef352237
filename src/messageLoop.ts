import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { ConcurrencyError } from "./ConcurrencyError.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Inbox, Message } from "./inbox.js"
import { type Body, step } from "./loop.js"
import type { Waiting } from "./wait.js"

/**
 * A handler that is an effect for each message: what is done at once is done
 * without a fiber, and a fiber runs only while something has to be waited for.
 */

type Left = Effect.Effect<unknown, unknown>

/** What such a loop has of its connection. */
export interface Source {
  readonly inbox: Inbox<Message>
  /** How it ends for who has taken everything. */
  readonly end: () => Exit.Exit<void, ConnectionClosed>
}

/** Called once, when it is over. */
type Ended = (exit: Exit.Exit<unknown, unknown>) => void

export class MessageLoop implements Waiting {
  private readonly source: Source
  private readonly body: Body<unknown, never>
  private readonly fork: (effect: Left) => Fiber.RuntimeFiber<unknown, unknown>
  private readonly ended: Ended
  /** It runs while something has to be waited for. */
  private fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private isInterrupted = false
  readonly isRegistered = true

  constructor(
    source: Source,
    body: Body<unknown, never>,
    fork: (effect: Left) => Fiber.RuntimeFiber<unknown, unknown>,
    ended: Ended
  ) {
    this.source = source
    this.body = body
    this.fork = fork
    this.ended = ended
  }

  start(): void {
    this.goOn(this.ahead())
  }

  proceed(): void {
    this.source.inbox.resumed()
    this.goOn(this.ahead())
  }

  proceedInline(): void {
    this.proceed()
  }

  interrupt(): void {
    if (this.isInterrupted) return
    this.isInterrupted = true
    if (this.fiber !== undefined) this.fiber.unsafeInterruptAsFork(FiberId.none)
    else if (this.source.inbox.forget(this)) this.ended(Exit.interrupt(FiberId.none))
  }

  /** Messages, up to the first that needs more than a step: what is left of that. */
  private ahead(): Left | undefined {
    const { body, source } = this
    const { inbox } = source
    do {
      while (inbox.isReady && !this.isInterrupted) {
        const left = step(inbox, body)
        if (left !== undefined) return left
      }
      inbox.idle()
    } while (inbox.isReady && !this.isInterrupted)
    return undefined
  }

  /** Has a fiber do what is left, or waits for the next message where nothing is. */
  private goOn(left: Left | undefined): void {
    const { inbox } = this.source
    if (this.isInterrupted) this.ended(Exit.interrupt(FiberId.none))
    else if (left !== undefined) this.run(left)
    else if (inbox.isEnded) this.ended(this.source.end())
    else if (!inbox.waitWithout(this)) this.ended(Exit.fail(new ConcurrencyError()))
  }

  private run(first: Left): void {
    let left: Left | undefined = first
    const fiber = this.fork(
      Effect.whileLoop({
        while: () => left !== undefined,
        body: () => left!,
        step: () => {
          left = this.ahead()
        }
      })
    )
    this.fiber = fiber
    if (this.isInterrupted) fiber.unsafeInterruptAsFork(FiberId.none)
    fiber.addObserver((exit) => {
      this.fiber = undefined
      if (Exit.isSuccess(exit)) this.goOn(undefined)
      else this.ended(exit)
    })
  }
}
