import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { RuntimeFiber } from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type { RuntimeFlags } from "effect/RuntimeFlags"
import type { ConcurrencyError } from "./ConcurrencyError.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import { handlerScheduler } from "./handlerScheduler.js"
import type { Inbox, Message } from "./inbox.js"
import { Startable } from "./send.js"
import { type Reader, Wait } from "./wait.js"

/** `runForEach` at work: one step for each message, in the fiber that runs it or, as far as it needs none, without. */

type Fiber = RuntimeFiber<unknown, unknown>
type Any<E, R> = Effect.Effect<unknown, E, R>

/** What is left of an effect once what can be done at once is done: undefined where it was a success already, or became one. */
const begun = <E, R>(effect: Any<E, R>): Any<E, R> | undefined => {
  if (effect instanceof Startable) return effect.start() as Any<E, R> | undefined
  return Exit.isExit(effect) && Exit.isSuccess(effect) ? undefined : effect
}

/** A function of the user's that throws is a defect of the effect that it should have given. */
export const called = <A, E, R>(make: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  try {
    return make()
  } catch (defect) {
    return Effect.die(defect)
  }
}

export type Body<E, R> = (inbox: Inbox<Message>) => Any<E, R>

/** Deals with the messages that are there, up to the first that needs more than a step: what is left of that. */
export const step = <E, R>(inbox: Inbox<Message>, body: Body<E, R>): Any<E, R> | undefined =>
  begun(called(() => body(inbox)))

/** What a loop does when no message comes any more. */
interface Ending {
  readonly end: () => Effect.Effect<void, ConnectionClosed>
}

type Failure<E> = E | ConcurrencyError | ConnectionClosed

class Loop<E, R> implements Reader<unknown, Failure<E>, R> {
  protected readonly inbox: Inbox<Message>
  protected readonly body: Body<E, R>
  private readonly ending: Ending
  private readonly fiber: Fiber
  private readonly flags: RuntimeFlags
  private readonly wait: Wait<unknown, Failure<E>, R>
  isOver = false

  constructor(inbox: Inbox<Message>, ending: Ending, body: Body<E, R>, fiber: Fiber, flags: RuntimeFlags) {
    this.inbox = inbox
    this.ending = ending
    this.body = body
    this.fiber = fiber
    this.flags = flags
    this.wait = new Wait(inbox, this)
  }

  /** Messages, up to the first that needs more than a step, or the end; or the wait for either. */
  next(): Any<Failure<E>, R> {
    const { body, inbox } = this
    while (inbox.isReady) {
      const left = step(inbox, body)
      if (left !== undefined) return left
    }
    return inbox.isEnded ? this.end() : inbox.wait(this.wait, this.fiber, this.flags)
  }

  protected end(): Effect.Effect<void, ConnectionClosed> {
    this.isOver = true
    return this.ending.end()
  }
}

/** In a handler's fiber, which runs inside the transport's callback. */
class InlineLoop<E, R> extends Loop<E, R> {
  ahead(): Any<Failure<E>, R> | undefined {
    const { body, inbox } = this
    do {
      while (!inbox.isEmpty()) {
        const left = step(inbox, body)
        if (left !== undefined) return left
      }
      // What is written now may be answered at once, and nobody is woken for that.
      inbox.idle()
    } while (!inbox.isEmpty())
    return inbox.isEnded ? this.end() : undefined
  }
}

export const makeLoop = <E, R>(
  inbox: Inbox<Message>,
  ending: Ending,
  body: Body<E, R>,
  fiber: Fiber,
  flags: RuntimeFlags
): Loop<E, R> => {
  const isInline = fiber.getFiberRef(FiberRef.currentScheduler) === handlerScheduler
  return new (isInline ? InlineLoop : Loop)(inbox, ending, body, fiber, flags)
}
