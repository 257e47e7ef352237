import * as Effect from "effect/Effect"
import { handlerScheduler } from "./handlerScheduler.js"

/** Who reads: what it does when there is something, and what of that it can do without its fiber. */
export interface Reader<B, E, R> {
  /** Goes on with what is there, or with the end. */
  readonly next: () => Effect.Effect<B, E, R>
  /** Deals with the messages that are there, with all of them or up to what needs the fiber. */
  readonly ahead?: (() => Effect.Effect<B, E, R> | undefined) | undefined
}

/** What a wait has of its inbox. */
interface Waking {
  readonly wake: () => void
  readonly resumed: () => void
  readonly goOnWaiting: (waiting: Waiting) => void
}

/** Somebody who waits for a message or the end. */
export interface Waiting {
  /** Whether it can be woken already. */
  readonly isRegistered: boolean
  /** Ends the wait. */
  readonly proceed: () => void
  /** The same inside the transport's callback. */
  readonly proceedInline: () => void
}

/** A reader's wait, made once and used for each of them: what differs is how the fiber is resumed. */
export class Wait<B, E, R> implements Waiting {
  private readonly inbox: Waking
  private readonly reader: Reader<B, E, R>
  /** Whether who waits has claimed the inbox. */
  readonly hasClaim: boolean
  private resume: ((effect: Effect.Effect<B, E, R>) => void) | undefined
  private readonly woken: Effect.Effect<B, E, R>
  private found: Effect.Effect<B, E, R> | undefined
  /** One declared parameter and no canceller: an interrupted reader is seen to be gone, and its resumption never runs. */
  readonly effect = Effect.async<B, E, R>((resume) => {
    this.resume = resume
    // What has come since the fiber looked.
    this.inbox.wake()
  })

  constructor(inbox: Waking, reader: Reader<B, E, R>, hasClaim = false) {
    this.inbox = inbox
    this.reader = reader
    this.hasClaim = hasClaim
    this.woken = Effect.suspend(() => {
      inbox.resumed()
      return reader.next()
    })
  }

  /** The fiber is about to wait; until it does, a step later, it cannot be resumed. */
  begin(): void {
    this.resume = undefined
  }

  next(): Effect.Effect<B, E, R> {
    return this.reader.next()
  }

  get isRegistered(): boolean {
    return this.resume !== undefined
  }

  /** Does what can be done without the fiber; then has it go on, inside the transport's callback too, if anything is left. */
  proceedInline(): void {
    const { inbox, reader } = this
    if (reader.ahead !== undefined) {
      this.found = reader.ahead()
      if (this.found === undefined) {
        inbox.goOnWaiting(this)
        return
      }
      // It runs before anybody else can, on the scheduler of handlers.
      inbox.resumed()
    }
    handlerScheduler.run(this)
  }

  /** Ends the wait with what was prepared. */
  proceed(): void {
    const { found = this.woken, resume } = this
    this.found = undefined
    this.resume = undefined
    resume!(found)
  }
}
