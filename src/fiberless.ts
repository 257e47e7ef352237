import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { ConcurrencyError } from "./ConcurrencyError.js"
import { step } from "./loop.js"
import type { ForEach } from "./reading.js"
import type { Waiting } from "./wait.js"

/** Whose handler it is. */
export interface Owner {
  readonly isInterrupted: boolean
  /** Something has to be waited for: the rest is for a fiber. */
  readonly goOnWith: (rest: Effect.Effect<unknown, unknown>) => void
  /** It is over, without a fiber. */
  readonly hasEnded: (exit: Exit.Exit<unknown, unknown>) => void
}

/**
 * `runForEach` where it is all that a handler does. Before something has to be
 * waited for there is no fiber: 2 kB less for each connection, and a tenth
 * less work for one that comes and goes. Then there is one, which goes on with
 * the loop as if it had been there from the start.
 */
export class Fiberless implements Waiting {
  private readonly owner: Owner
  private readonly loop: ForEach<unknown, never>
  readonly isRegistered = true

  constructor(owner: Owner, loop: ForEach<unknown, never>) {
    this.owner = owner
    this.loop = loop
  }

  start(): void {
    const { loop, owner } = this
    const { inbox } = loop.reading
    do {
      while (inbox.isReady && !owner.isInterrupted) {
        const left = step(inbox, loop.body)
        if (left !== undefined && !owner.isInterrupted) {
          owner.goOnWith(Effect.zipRight(left, loop))
          return
        }
      }
      inbox.idle()
    } while (inbox.isReady && !owner.isInterrupted)
    if (owner.isInterrupted) owner.hasEnded(Exit.interrupt(FiberId.none))
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

  /** Its owner is interrupted: it ends now, or with the step that it is in. */
  interrupt(): void {
    if (this.loop.reading.inbox.forget(this)) this.owner.hasEnded(Exit.interrupt(FiberId.none))
  }
}
