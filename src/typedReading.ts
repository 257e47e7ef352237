import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ConnectionClosed, isClean } from "./ConnectionClosed.js"
import { type Coding, isNow } from "./coding.js"
import type { DecodeError } from "./DecodeError.js"
import type { Message } from "./inbox.js"
import type { Reading, ReceiveError } from "./reading.js"

/** What becomes of a message that is none: it is passed over, the reader fails, or the connection has been closed for it. */
export type Invalid<E, R> = (error: DecodeError) => Effect.Effect<ConnectionClosed | undefined, E, R>

export interface TypedReadingParts<In, E, R> {
  readonly reading: Reading
  readonly coding: Pick<Coding<In, R>, "decode">
  readonly invalid: Invalid<E, R>
}

/** An agreed end, which is no failure of who reads until the end. */
export const isEnd = (error: unknown): boolean => error instanceof ConnectionClosed && isClean(error)

/** Takes messages out of an inbox as values, decoded by who takes them and when it does. */
export class TypedReading<In, E, R> {
  protected readonly parts: TypedReadingParts<In, E, R>
  /** Taken, and to be decoded again: its reader was interrupted meanwhile, as can be where that takes an Effect. */
  private unread: Message | undefined
  /** The connection was closed for a message: what came behind that is not read. */
  private closed: ConnectionClosed | undefined
  private receiving: Effect.Effect<In, ReceiveError | E, R> | undefined

  constructor(parts: TypedReadingParts<In, E, R>) {
    this.parts = parts
  }

  get receive(): Effect.Effect<In, ReceiveError | E, R> {
    this.receiving ??= this.taking((message) => this.read(message, Effect.succeed, () => this.receive))
    return this.receiving
  }

  /** One by one, so that what is not emitted any more is still there for others. */
  get messages(): Stream.Stream<In, ReceiveError | E, R> {
    return Stream.repeatEffectOption(
      Effect.mapError(this.receive, (error) => (isEnd(error) ? Option.none() : Option.some(error)))
    )
  }

  forEach<A, E2, R2>(
    handle: (value: In) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<void, E | E2 | ReceiveError, R | R2> {
    const each = (message: Message) => this.read<unknown, E2, R2>(message, handle, () => Effect.void)
    const all = this.parts.reading.forEach(each)
    return Effect.suspend(() => {
      const { closed, unread } = this
      if (closed !== undefined) return Effect.fail(closed)
      if (unread === undefined) return all
      this.unread = undefined
      return Effect.zipRight(each(unread), all)
    })
  }

  /** Goes on with the next message, in the step that takes it. */
  protected taking<A, E2, R2>(
    make: (message: Message) => Effect.Effect<A, E2, R2>
  ): Effect.Effect<A, E2 | ReceiveError, R2> {
    const take = this.parts.reading.receiveWith(make)
    return Effect.suspend(() => {
      const { closed, unread } = this
      if (closed !== undefined) return Effect.fail(closed)
      if (unread === undefined) return take
      this.unread = undefined
      return make(unread)
    })
  }

  /** Goes on with the value of a message, or with nothing where it is passed over. */
  protected read<A, E2, R2>(
    message: Message,
    handle: (value: In) => Effect.Effect<A, E2, R2>,
    skipped: () => Effect.Effect<A, E2 | ReceiveError | E, R2 | R>
  ): Effect.Effect<A, E2 | ReceiveError | E, R2 | R> {
    const refused = (error: DecodeError) =>
      Effect.flatMap(this.invalid(error), (closed) => {
        if (closed === undefined) return skipped()
        this.closed = closed
        return Effect.fail(closed)
      })
    const outcome = this.parts.coding.decode(message)
    if (isNow(outcome)) return Either.isRight(outcome) ? handle(outcome.right) : refused(outcome.left)
    const putBack = Effect.sync(() => {
      this.unread = message
    })
    return Effect.matchEffect(
      Effect.onInterrupt(outcome, () => putBack),
      { onSuccess: handle, onFailure: refused }
    )
  }

  protected invalid(error: DecodeError): Effect.Effect<ConnectionClosed | undefined, E, R> {
    return this.parts.invalid(error)
  }
}
