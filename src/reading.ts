import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Stream from "effect/Stream"
import type { ConcurrencyError } from "./ConcurrencyError.js"
import { type ConnectionClosed, isClean } from "./ConnectionClosed.js"
import type { Inbox, Message, Supplier } from "./inbox.js"
import { type Body, makeLoop } from "./loop.js"
import { UnexpectedMessageType } from "./UnexpectedMessageType.js"

/** All the ways to take messages out of an inbox, the same for every kind of connection. */

/** Why no message comes. */
export type ReceiveError = ConnectionClosed | ConcurrencyError

export const TypeId: unique symbol = Symbol.for("effect-websockets/Connection")
export type TypeId = typeof TypeId

/** What a reader learns when no message comes any more. */
export interface Ending extends Pick<Supplier, "exit"> {
  /** Whether it ended as agreed. */
  readonly isClean: boolean
}

export class Reading {
  readonly inbox: Inbox<Message>
  private readonly ending: Ending
  private receiving: Effect.Effect<Message, ReceiveError> | undefined

  constructor(inbox: Inbox<Message>, ending: Ending) {
    this.inbox = inbox
    this.ending = ending
  }

  private exit(): Exit.Exit<never, ConnectionClosed> {
    return this.ending.exit()
  }

  /** One message. It is taken in the step that hands it over: an interruption before leaves it where it is. */
  get receive(): Effect.Effect<Message, ReceiveError> {
    this.receiving ??= this.taking(Effect.sync(() => this.inbox.take()))
    return this.receiving
  }

  /** The same for who makes something of it in that step. */
  receiveWith<A, E, R>(make: (message: Message) => Effect.Effect<A, E, R>): Effect.Effect<A, E | ReceiveError, R> {
    return this.taking(Effect.suspend(() => make(this.inbox.take())))
  }

  get receiveText(): Effect.Effect<string, ReceiveError | UnexpectedMessageType> {
    return Effect.flatMap(this.receive, (received) =>
      typeof received === "string"
        ? Effect.succeed(received)
        : Effect.fail(new UnexpectedMessageType({ expected: "text", received }))
    )
  }

  get receiveBytes(): Effect.Effect<Uint8Array, ReceiveError | UnexpectedMessageType> {
    return Effect.flatMap(this.receive, (received) =>
      typeof received === "string"
        ? Effect.fail(new UnexpectedMessageType({ expected: "binary", received }))
        : Effect.succeed(received)
    )
  }

  /** The same for who has claimed the inbox. */
  get receiveClaimed(): Effect.Effect<Message, ReceiveError> {
    const { inbox } = this
    const take = Effect.sync(() => inbox.take())
    const look = (): Effect.Effect<Message, ReceiveError> =>
      inbox.isEmpty() ? (inbox.isEnded ? this.exit() : waiting) : take
    const wait = inbox.waitThen(look, true)
    const waiting = Effect.withFiberRuntime<Message, ReceiveError>((fiber, { runtimeFlags }) =>
      wait(fiber, runtimeFlags)
    )
    return Effect.suspend(look)
  }

  /** All messages that are there, or else the next. */
  get receiveAll(): Effect.Effect<NonEmptyReadonlyArray<Message>, ReceiveError> {
    return this.taking(Effect.sync(() => this.inbox.takeAll()))
  }

  /** A loop of channels: Stream's own constructors cost half as much again for each chunk. */
  get messages(): Stream.Stream<Message, ReceiveError> {
    const pull = Channel.fromEffect(this.taking(Effect.sync(() => Chunk.unsafeFromArray(this.inbox.takeAll()))))
    const loop: Channel.Channel<Chunk.Chunk<Message>, unknown, ReceiveError> = Channel.flatMap(pull, (chunk) =>
      Channel.flatMap(Channel.write(chunk), () => loop)
    )
    return Stream.fromChannel(
      Channel.catchAll(loop, (error) =>
        error._tag === "ConnectionClosed" && isClean(error) ? Channel.void : Channel.fail(error)
      )
    )
  }

  forEach<A, E, R>(handle: (message: Message) => Effect.Effect<A, E, R>): Effect.Effect<void, E | ReceiveError, R> {
    return new ForEach(this, (inbox) => handle(inbox.take()))
  }

  forEachChunk<A, E, R>(
    handle: (messages: NonEmptyReadonlyArray<Message>) => Effect.Effect<A, E, R>
  ): Effect.Effect<void, E | ReceiveError, R> {
    return new ForEach(this, (inbox) => handle(inbox.takeAll()))
  }

  private taking<A, E, R>(take: Effect.Effect<A, E, R>): Effect.Effect<A, E | ReceiveError, R> {
    const { inbox } = this
    const look = (): Effect.Effect<A, E | ReceiveError, R> =>
      inbox.isReady ? take : inbox.isEnded ? this.exit() : waiting
    const wait = inbox.waitThen(look)
    const waiting = Effect.withFiberRuntime<A, E | ReceiveError, R>((fiber, { runtimeFlags }) =>
      wait(fiber, runtimeFlags)
    )
    return Effect.suspend(look)
  }

  /** A clean end needs no error. */
  end(): Exit.Exit<void, ConnectionClosed> {
    return this.ending.isClean ? Exit.void : this.exit()
  }
}

/**
 * The fast loop: no fiber, no queue and no wait between two messages that are
 * there. In a handler's fiber, what a chunk brings is dealt with inside the
 * transport's callback, and the fiber is woken for the first effect that needs
 * it: an echo of 64 bytes costs 1 µs less so, of 8.
 */
export class ForEach<E, R> extends Effectable.Class<void, E | ReceiveError, R> {
  readonly reading: Reading
  readonly body: Body<E, R>

  constructor(reading: Reading, body: Body<E, R>) {
    super()
    this.reading = reading
    this.body = body
  }

  override commit(): Effect.Effect<void, E | ReceiveError, R> {
    const { body, reading } = this
    return Effect.withFiberRuntime((fiber, { runtimeFlags }) => {
      const loop = makeLoop(reading.inbox, reading, body, fiber, runtimeFlags)
      return Effect.whileLoop({ while: () => !loop.isOver, body: () => loop.next(), step: constVoid })
    })
  }
}

/** Whether that is all that an effect does. */
export const isForEach = (effect: Effect.Effect<unknown, unknown>): effect is ForEach<unknown, never> =>
  effect instanceof ForEach

/** Who has an inbox to read from, and so the operations of a connection that do. */
export abstract class Receiving {
  abstract readonly [TypeId]: Reading

  get receive(): Effect.Effect<Message, ReceiveError> {
    return this[TypeId].receive
  }

  get receiveText() {
    return this[TypeId].receiveText
  }

  get receiveBytes() {
    return this[TypeId].receiveBytes
  }

  get receiveAll() {
    return this[TypeId].receiveAll
  }

  get messages() {
    return this[TypeId].messages
  }
}
