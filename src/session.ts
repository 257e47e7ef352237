import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Attachment } from "./attachment.js"
import { type Connection, type Message, type Role, runForEachChunk } from "./Connection.js"
import { type Closure, type ConnectionClosed, isClean } from "./ConnectionClosed.js"
import type { Inbox, Supplier } from "./inbox.js"
import { Arrivals } from "./protocol/Arrivals.js"
import * as CloseCode from "./protocol/CloseCode.js"
import * as Envelope from "./protocol/Envelope.js"
import { type Close, type Violation, violation } from "./protocol/Frame.js"
import { ReplayBuffer, type ReplayLimits } from "./protocol/ReplayBuffer.js"
import { type Ending, Reading, Receiving, TypeId } from "./reading.js"
import { endedWith, gap, type State } from "./sessionState.js"
import { closeFrame } from "./spoken.js"
import { TellingInbox } from "./tellingInbox.js"

/**
 * One end of a session: what is one connection to its user, and is carried by
 * one connection after the other.
 */

export interface Settings extends ReplayLimits {
  readonly whenFull: "suspend" | "end"
  readonly receiveHighWaterMark: number
  readonly closeTimeout: Duration.DurationInput
}

export interface Parts {
  readonly role: Role
  readonly settings: Settings
  /** Whether the session goes on without a connection that ended so. */
  readonly survives: (closed: ConnectionClosed, isEnding: boolean) => boolean
  /** Who closes a session that is away wants no other connection; what gives up looking for one. */
  readonly abandon: Effect.Effect<unknown>
  readonly states: SubscriptionRef.SubscriptionRef<State>
  readonly onOver: (session: Session) => void
}

/** Bytes that are handed to a connection at a time. */
const BATCH = 65_536

interface Sender {
  readonly message: Message
  readonly done: (outcome: Effect.Effect<void, ConnectionClosed>) => void
}

let lastId = 0

export class Session extends Receiving implements Supplier, Ending {
  readonly id = ++lastId
  readonly role: Role
  readonly state: SubscriptionRef.SubscriptionRef<State>
  readonly [TypeId]: Reading
  private readonly parts: Parts
  private readonly inbox: Inbox
  private readonly replay: ReplayBuffer
  private readonly arrivals = new Arrivals()
  private readonly senders: Array<Sender> = []
  private readonly ended = Deferred.unsafeMake<ConnectionClosed>(FiberId.none)
  private readonly endingBegun = Deferred.unsafeMake<void>(FiberId.none)
  private current: Attachment | undefined
  private ending: Close | undefined
  private over: ConnectionClosed | undefined

  constructor(parts: Parts) {
    super()
    this.parts = parts
    this.role = parts.role
    this.state = parts.states
    const { maxReplayBytes, receiveHighWaterMark } = parts.settings
    this.inbox = new TellingInbox(this, 2 * maxReplayBytes + receiveHighWaterMark, (count) => this.taken(count))
    this.replay = new ReplayBuffer(parts.settings)
    this[TypeId] = new Reading(this.inbox, this)
  }

  // What its user has of it, as of a connection

  get send() {
    return (message: Message): Effect.Effect<void, ConnectionClosed> => Effect.suspend(() => this.put(message))
  }

  get sendAll() {
    return (messages: Iterable<Message>): Effect.Effect<void, ConnectionClosed> =>
      Effect.forEach(messages, (message) => this.put(message), { discard: true })
  }

  get close() {
    return (close: Partial<Close> = {}): Effect.Effect<ConnectionClosed> =>
      Effect.suspend(() => {
        this.finish(closeFrame(close))
        return Effect.zipRight(this.isAttached ? Effect.void : this.parts.abandon, this.closed)
      })
  }

  get closed(): Effect.Effect<ConnectionClosed> {
    return Deferred.await(this.ended)
  }

  // Sending

  private put(message: Message): Effect.Effect<void, ConnectionClosed> {
    if (this.over !== undefined) return this.exit()
    if (this.ending !== undefined) return this.failed
    // Where there is room nobody waits for it.
    if (!this.replay.isFull) {
      this.keep(message)
      return Effect.void
    }
    if (this.givesUp) return Effect.zipRight(this.end(gap(undefined)), this.failed)
    return Effect.async<void, ConnectionClosed>((resume) => {
      // The fiber comes here a step later: its turn may have come.
      if (this.over !== undefined || this.ending !== undefined || !this.replay.isFull || this.givesUp) {
        resume(this.put(message))
        return
      }
      const sender: Sender = { message, done: resume }
      this.senders.push(sender)
      return Effect.sync(() => {
        const at = this.senders.indexOf(sender)
        if (at >= 0) this.senders.splice(at, 1)
      })
    })
  }

  /** The failure of who sends while the session ends. */
  private get failed(): Effect.Effect<never, ConnectionClosed> {
    return Effect.flatMap(this.closed, () => this.exit())
  }

  private get givesUp(): boolean {
    return this.parts.settings.whenFull === "end" && this.current === undefined
  }

  private keep(message: Message): void {
    this.replay.push(Envelope.encode({ _tag: "Data", message }))
    this.current?.wake()
  }

  /** There may be room: whose turn it is sends. */
  private admit(): void {
    while (this.senders.length > 0 && !this.replay.isFull && this.ending === undefined) {
      const { message, done } = this.senders.shift()!
      this.keep(message)
      done(Effect.void)
    }
  }

  // Connections

  get isAttached(): boolean {
    return this.current !== undefined
  }

  get isOver(): boolean {
    return this.over !== undefined
  }

  get isClean(): boolean {
    return this.over !== undefined && isClean(this.over)
  }

  /** How it ended, if it has. */
  get closure(): Closure | undefined {
    return this.over?.closure
  }

  get isEnding(): boolean {
    return this.ending !== undefined
  }

  /** How many messages of the peer have been received. */
  get received(): number {
    return this.arrivals.received
  }

  /**
   * Carries on over a connection whose peer says how many messages it has
   * received, until that connection is over. The connection before is not
   * listened to any more, and is closed. Fails where the peer cannot have
   * received so many.
   */
  attend(
    connection: Connection,
    received: number,
    preface: (received: number) => ReadonlyArray<Message>
  ): Effect.Effect<ConnectionClosed, Violation> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        if (!this.replay.hasSent(received)) return Effect.fail(Envelope.neverSent)
        // What the peer has received and its program has not taken is kept, and need not be sent again.
        const number = Math.max(this.replay.first, received + 1)
        const from = Envelope.encode({ _tag: "From", number })
        const attachment = new Attachment(connection, [...preface(this.received), from], number)
        this.current?.replace()
        this.current = attachment
        this.arrivals.from(this.received + 1)
        return SubscriptionRef.set(this.state, { _tag: "Connected", connection }).pipe(
          Effect.zipRight(restore(this.carry(attachment))),
          Effect.onExit((exit) => this.detach(attachment, Exit.isSuccess(exit) ? exit.value : undefined))
        )
      })
    )
  }

  /** Reads and writes until the connection is over, or until all is said and the session ends. */
  private carry(attachment: Attachment): Effect.Effect<ConnectionClosed> {
    const { connection } = attachment
    const read = Effect.matchEffect(
      // It never waits for the program: behind what that has not taken stand the peer's acknowledgements.
      runForEachChunk(connection, (messages) => this.take(attachment, messages)),
      {
        onSuccess: () => connection.closed,
        onFailure: (error) => (error._tag === "Violation" ? connection.close(error) : connection.closed)
      }
    )
    // Where nothing can be written any more there may still be something to read.
    const write = Effect.catchAll(this.write(attachment), () => Effect.never)
    const late = Effect.zipRight(Deferred.await(this.endingBegun), Effect.sleep(this.parts.settings.closeTimeout))
    const done = Effect.raceAll([write, late, Deferred.await(attachment.replaced)])
    return Effect.raceFirst(
      read,
      Effect.flatMap(done, () => connection.close(this.ending ?? elsewhere))
    )
  }

  private write(attachment: Attachment): Effect.Effect<void, ConnectionClosed> {
    const step = Effect.suspend(() => {
      const batch = this.batch(attachment)
      if (batch.length > 0) return Effect.as(attachment.connection.sendAll(batch), true)
      if (this.isDone(attachment)) return Effect.as(this.conclude(attachment), false)
      return Effect.as(
        attachment.idle(() => this.hasWork(attachment)),
        true
      )
    })
    return Effect.asVoid(Effect.iterate(true, { while: identity, body: () => step }))
  }

  /** Says that the close frame is the session's, whatever its code, once everything before is written. */
  private conclude(attachment: Attachment): Effect.Effect<void, ConnectionClosed> {
    return this.current === attachment && this.over === undefined
      ? attachment.connection.send(Envelope.encode({ _tag: "End" }))
      : Effect.void
  }

  /** What is to be written next: acknowledgements are never waited for by who reads. */
  private batch(attachment: Attachment): ReadonlyArray<Message> {
    const batch = attachment.preface.splice(0)
    if (this.current !== attachment) return []
    const { taken } = this.arrivals
    if (taken > attachment.told) {
      attachment.told = taken
      batch.push(Envelope.encode({ _tag: "Ack", taken }))
    }
    attachment.cursor = Math.max(attachment.cursor, this.replay.first)
    const messages = this.replay.take(attachment.cursor, BATCH)
    attachment.cursor += messages.length
    batch.push(...messages)
    return batch
  }

  private isDone(attachment: Attachment): boolean {
    return this.current !== attachment || this.ending !== undefined || this.over !== undefined
  }

  private hasWork(attachment: Attachment): boolean {
    return this.isDone(attachment) || this.arrivals.taken > attachment.told || this.replay.next > attachment.cursor
  }

  // Receiving

  private take(attachment: Attachment, messages: NonEmptyReadonlyArray<Message>): Effect.Effect<void, Violation> {
    // Behind a newer connection, what comes here comes there once more.
    if (this.current !== attachment) return Effect.void
    const fault = this.takeEach(attachment, messages)
    this.inbox.wake()
    return fault ?? Effect.void
  }

  private takeEach(
    attachment: Attachment,
    messages: NonEmptyReadonlyArray<Message>
  ): Effect.Effect<never, Violation> | undefined {
    for (const message of messages) {
      const envelope = Envelope.decode(message)
      switch (envelope._tag) {
        case "Data":
          if (!this.arrivals.arrived()) break
          // Nobody will take what comes behind the end.
          if (this.ending !== undefined || this.over !== undefined) this.taken(1)
          else if (this.inbox.isFull()) return Effect.fail(tooMuch)
          else this.inbox.push(envelope.message)
          break
        case "Ack":
          if (!this.replay.acknowledge(envelope.taken)) return Effect.fail(Envelope.neverSent)
          this.admit()
          break
        case "From": {
          const lost = this.arrivals.from(envelope.number)
          if (lost > 0) return Effect.zipRight(this.end(gap(lost)), Effect.fail(Envelope.lost))
          break
        }
        case "End":
          attachment.isLast = true
          break
        case "Violation":
          return Effect.fail(envelope)
        case "Hello":
        case "Welcome":
        case "Unknown":
          return Effect.fail(Envelope.outOfPlace)
      }
    }
    return undefined
  }

  /** So many messages more need not be kept by the peer. */
  private taken(count: number): void {
    this.arrivals.take(count)
    this.current?.wake()
  }

  idle(): void {}

  roomy(): void {}

  exit(): Exit.Exit<never, ConnectionClosed> {
    // Asked for only when it is over.
    return Exit.fail(this.over ?? endedWith({}))
  }

  // The end

  /** Lets everything that was sent still go, and then closes. */
  finish(close: Close): void {
    if (this.ending !== undefined) return
    this.ending = close
    Deferred.unsafeDone(this.endingBegun, Effect.void)
    this.current?.wake()
  }

  private detach(attachment: Attachment, closed: ConnectionClosed | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.current !== attachment) return Effect.void
      this.current = undefined
      if (this.over !== undefined) return Effect.void
      if (closed !== undefined) {
        const isAgreed = attachment.isLast && closed.closure.received !== undefined
        if (isAgreed || !this.parts.survives(closed, this.isEnding)) return this.end(closed)
      }
      if (this.givesUp && this.senders.length > 0) return this.end(gap(undefined))
      return SubscriptionRef.set(this.state, { _tag: "Away" })
    })
  }

  /** The session is over: nothing of it is kept but what was received and not taken. */
  end(closed: ConnectionClosed): Effect.Effect<void> {
    const end = Effect.suspend(() => {
      if (this.over !== undefined) return Effect.void
      this.over = closed
      this.replay.clear()
      this.inbox.end()
      for (const { done } of this.senders.splice(0)) done(this.exit())
      this.current?.wake()
      Deferred.unsafeDone(this.ended, Effect.succeed(closed))
      this.parts.onOver(this)
      return SubscriptionRef.set(this.state, { _tag: "Closed", closed })
    })
    // Who ends it may be what its end interrupts.
    return Effect.uninterruptible(end)
  }
}

const elsewhere: Close = {
  code: CloseCode.PolicyViolation,
  reason: "the session goes on over another connection, or is over"
}

const tooMuch = violation(CloseCode.PolicyViolation, "more messages were sent than may wait to be taken")
