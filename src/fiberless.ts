import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { ConcurrencyError } from "./ConcurrencyError.js"
import { step } from "./loop.js"
import type { ForEach } from "./reading.js"
import type { Waiting } from "./wait.js"

/**
 * `runForEach` where it is all that a handler does. Before something has to be
 * waited for there is no fiber: 2 kB less for each connection, and a tenth
 * less work for one that comes and goes. Then there is one, which goes on with
 * the loop as if it had been there from the start.
 */
/** Whose handler it is. */
export interface Owner {
  /** Something has to be waited for: the rest is for a fiber. */
  readonly goOnWith: (rest: Effect.Effect<unknown, unknown>) => void
  /** It is over, without a fiber. */
  readonly hasEnded: (exit: Exit.Exit<unknown, unknown>) => void
}

export class Fiberless implements Waiting {
  private readonly owner: Owner
  private readonly loop: ForEach<unknown, never>
  private isInterrupted = false
  readonly isRegistered = true

  constructor(owner: Owner, loop: ForEach<unknown, never>) {
    this.owner = owner
    this.loop = loop
  }

  start(): void {
    const { loop, owner } = this
    const { inbox } = loop.reading
    do {
      while (inbox.isReady && !this.isInterrupted) {
        const left = step(inbox, loop.body)
        if (left !== undefined && !this.isInterrupted) {
          owner.goOnWith(Effect.zipRight(left, loop))
          return
        }
      }
      inbox.idle()
    } while (inbox.isReady && !this.isInterrupted)
    if (this.isInterrupted) owner.hasEnded(Exit.interrupt(FiberId.none))
    else if (inbox.isEnded) owner.hasEnded(loop.reading.end())
    else if (!inbox.waitWithout(this)) owner.hasEnded(Exit.fail(new ConcurrencyError()))
  }

  proceed(): void {
    this.loop.reading.inbox.resumed()
    this.start()
  }

  proceedInline(): void {
    this.proceed()
  }

  interrupt(): void {
    this.isInterrupted = true
    if (this.loop.reading.inbox.forget(this)) this.owner.hasEnded(Exit.interrupt(FiberId.none))
  }
}
