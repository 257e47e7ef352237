import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ConcurrencyError } from "./ConcurrencyError.js"
import { ConnectionClosed } from "./ConnectionClosed.js"
import type { DecodeError } from "./DecodeError.js"
import type { Message } from "./inbox.js"
import type { ReceiveError } from "./reading.js"
import { isEnd, TypedReading, type TypedReadingParts } from "./typedReading.js"

/** A fiber that waits until there is something for it to do. */
class Waiter {
  private resume: (() => void) | undefined

  get isWaiting(): boolean {
    return this.resume !== undefined
  }

  wake(): void {
    this.resume?.()
  }

  /** Waits to be woken; not at all where there is nothing to wait for any more, as it is looked a step later. */
  until(isNow: () => boolean): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      if (isNow()) {
        resume(Effect.void)
        return
      }
      this.resume = () => {
        this.resume = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.resume = undefined
      })
    })
  }
}

/** Who waits for an answer. */
class Asker<A, E> extends Waiter {
  exit: Exit.Exit<A, E> | undefined
}

/** What was read on the way to an answer, and is there for who receives. */
interface Kept<In, E> {
  readonly size: number
  readonly outcome: Exit.Exit<In, E>
}

export interface AskingParts<In, E, R> extends TypedReadingParts<In, E, R> {
  /** The identifier of the request that a message answers. */
  readonly answers: (value: In) => unknown
  /** The end of the connection. */
  readonly closed: Effect.Effect<ConnectionClosed>
  /** Charged as an inbox does: no more is read on the way once so much is kept. */
  readonly maxKept: number
}

/** Charged for each kept message beside its content, as in the inbox. */
const overhead = 64

/** What `enter` begins, and what takes it back whenever that ends: between the two nobody is interrupted, not by a step. */
const held = <A, E, R>(
  enter: () => readonly [use: Effect.Effect<A, E, R>, leave: Effect.Effect<void>]
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const [use, leave] = enter()
      return Effect.ensuring(restore(use), leave)
    })
  )

/**
 * The same where answers are asked for. Whoever wants something reads, one
 * fiber at a time, and gives the others what is theirs: who receives is first
 * in line, and as long as it does something else who asks reads. So there is
 * no fiber that does nothing but read, and nobody has to receive for others.
 */
export class AskingReading<In, E, R> extends TypedReading<In, E, R> {
  private readonly asking: AskingParts<In, E, R>
  private readonly askers = new Map<unknown, Asker<In, E | ReceiveError>>()
  private readonly kept: Array<Kept<In, E>> = []
  private keptSize = 0
  /** Who waits in the inbox. */
  private reader: object | undefined
  private readonly receiver = new Waiter()
  private isReceiving = false

  constructor(parts: AskingParts<In, E, R>) {
    super(parts)
    this.asking = parts
  }

  override get receive(): Effect.Effect<In, ReceiveError | E, R> {
    const leave = Effect.sync(() => {
      this.isReceiving = false
      this.handOver()
    })
    const waiting = held(() => {
      if (this.isReceiving) return [Effect.fail(new ConcurrencyError()), Effect.void]
      this.isReceiving = true
      return [this.untilKept(), leave]
    })
    return Effect.suspend(() => {
      if (this.isReceiving) return Effect.fail(new ConcurrencyError())
      return this.takeKept() ?? Effect.zipRight(waiting, this.receive)
    })
  }

  override forEach<A, E2, R2>(
    handle: (value: In) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<void, E | E2 | ReceiveError, R | R2> {
    return Effect.suspend(() => {
      let isOver = false
      const end = (error: E | ReceiveError) => {
        isOver = true
        return isEnd(error) ? Effect.void : Effect.fail(error)
      }
      const body = Effect.matchEffect(this.receive, {
        onSuccess: (value): Effect.Effect<unknown, E | E2 | ReceiveError, R2> => handle(value),
        onFailure: end
      })
      return Effect.whileLoop({ while: () => !isOver, body: () => body, step: () => {} })
    })
  }

  /** Whether somebody waits for the answer to this. */
  isPending(id: unknown): boolean {
    return this.askers.has(id)
  }

  /** Says something and waits for the answer to it, reading for it where nobody else does. */
  ask<E2, R2>(id: unknown, say: Effect.Effect<unknown, E2, R2>): Effect.Effect<In, E | E2 | ReceiveError, R | R2> {
    return held(() => {
      const asker = new Asker<In, E | ReceiveError>()
      this.askers.set(id, asker)
      const leave = Effect.sync(() => {
        if (this.askers.get(id) === asker) this.askers.delete(id)
        this.handOver()
      })
      return [Effect.zipRight(say, this.answerTo(asker)), leave]
    })
  }

  private get isReading(): boolean {
    return this.reader !== undefined
  }

  private get isFull(): boolean {
    return this.keptSize >= this.asking.maxKept
  }

  private takeKept(): Exit.Exit<In, E> | undefined {
    const wasFull = this.isFull
    const first = this.kept.shift()
    if (first === undefined) return undefined
    this.keptSize -= first.size
    if (wasFull) this.handOver()
    return first.outcome
  }

  private untilKept(): Effect.Effect<void, ReceiveError | E, R> {
    return Effect.suspend(() => {
      if (this.kept.length > 0) return Effect.void
      const once = this.isReading
        ? this.receiver.until(() => this.kept.length > 0 || !this.isReading)
        : Effect.tapError(this.readOne(), (error) => Effect.sync(() => this.fail(error)))
      return Effect.zipRight(once, this.untilKept())
    })
  }

  private answerTo(asker: Asker<In, E | ReceiveError>): Effect.Effect<In, ReceiveError | E, R> {
    return Effect.suspend(() => {
      if (asker.exit !== undefined) return asker.exit
      return Effect.zipRight(
        this.isReading || this.isFull ? this.untilTurn(asker) : this.readForOthers(),
        this.answerTo(asker)
      )
    })
  }

  private untilTurn(asker: Asker<In, E | ReceiveError>): Effect.Effect<void> {
    const turn = asker.until(() => asker.exit !== undefined || !(this.isReading || this.isFull))
    // Nobody reads any more, and so nobody would see the end.
    return this.isFull
      ? Effect.race(
          turn,
          Effect.map(this.asking.closed, (error) => this.fail(error))
        )
      : turn
  }

  /** Reads as who asks: a failure is everybody's who asks, and that of a message also the receiver's. */
  private readForOthers(): Effect.Effect<void, never, R> {
    return Effect.catchAll(this.readOne(), (error) =>
      Effect.sync(() => {
        if (!(error instanceof ConnectionClosed || error instanceof ConcurrencyError)) {
          this.keep({ size: overhead, outcome: Exit.fail(error) })
        }
        this.fail(error)
      })
    )
  }

  /** Reads one message, and leaves it where it belongs. */
  private readOne(): Effect.Effect<void, ReceiveError | E, R> {
    return held(() => {
      // Another was quicker, a step ago.
      if (this.isReading) return [Effect.void, Effect.void]
      const reader = {}
      this.reader = reader
      const handle = (message: Message) => (value: In) => {
        this.arrived(message, value)
        return Effect.void
      }
      const taken = this.taking((message) => this.read(message, handle(message), () => Effect.void))
      const done = Effect.sync(() => {
        if (this.reader === reader) this.reader = undefined
      })
      return [taken, done]
    })
  }

  /** The message has been taken: what is done about it may ask, and so read itself. */
  protected override invalid(error: DecodeError): Effect.Effect<ConnectionClosed | undefined, E, R> {
    return Effect.suspend(() => {
      this.reader = undefined
      return super.invalid(error)
    })
  }

  private arrived(message: Message, value: In): void {
    const id = this.asking.answers(value)
    const asker = id === undefined ? undefined : this.askers.get(id)
    if (asker === undefined) {
      this.keep({ size: overhead + message.length, outcome: Exit.succeed(value) })
      return
    }
    this.askers.delete(id)
    asker.exit = Exit.succeed(value)
    asker.wake()
  }

  private keep(kept: Kept<In, E>): void {
    this.kept.push(kept)
    this.keptSize += kept.size
    this.receiver.wake()
  }

  private fail(error: E | ReceiveError): void {
    const askers = [...this.askers.values()]
    this.askers.clear()
    for (const asker of askers) {
      asker.exit = Exit.fail(error)
      asker.wake()
    }
  }

  /** Nobody reads now, unless somebody else already does: who waits for it is next. */
  private handOver(): void {
    if (this.isReading) return
    if (this.receiver.isWaiting) {
      this.receiver.wake()
      return
    }
    if (this.isFull) return
    for (const asker of this.askers.values()) {
      if (asker.isWaiting) {
        asker.wake()
        return
      }
    }
  }
}
