import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type { Connection, Message } from "./Connection.js"

/** A connection while it carries a session, and how far it has got. */
export class Attachment {
  readonly connection: Connection
  /** The session goes on over another connection. */
  readonly replaced = Deferred.unsafeMake<void>(FiberId.none)
  /** What is said before any message. */
  readonly preface: Array<Message>
  /** The number of the next message that is written. */
  cursor: number
  /** How many taken messages the peer has been told of, on this connection: what was said before may be lost. */
  told = 0
  /** The peer has said that its session ends with this connection's closing handshake. */
  isLast = false
  private resume: (() => void) | undefined

  constructor(connection: Connection, preface: ReadonlyArray<Message>, cursor: number) {
    this.connection = connection
    this.preface = [...preface]
    this.cursor = cursor
  }

  wake(): void {
    const { resume } = this
    this.resume = undefined
    resume?.()
  }

  replace(): void {
    Deferred.unsafeDone(this.replaced, Effect.void)
  }

  /** Waits until it is woken, unless there is something to do. */
  idle(hasWork: () => boolean): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      // The fiber comes here a step later.
      if (hasWork()) {
        resume(Effect.void)
        return
      }
      this.resume = () => resume(Effect.void)
      return Effect.sync(() => {
        this.resume = undefined
      })
    })
  }
}
