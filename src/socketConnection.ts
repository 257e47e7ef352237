import type { Address } from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { AnySpan } from "effect/Tracer"
import { ConcurrencyError } from "./ConcurrencyError.js"
import type { Connection } from "./Connection.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Capabilities } from "./capabilities.js"
import { connectionId } from "./connectionId.js"
import type { Engine } from "./deadlines.js"
import type { Message } from "./inbox.js"
import type { Handshake, SendOptions } from "./liveConnection.js"
import type { Close, Role } from "./protocol/Frame.js"
import type { State } from "./protocol/Protocol.js"
import { Reading, type ReceiveError, Receiving, TypeId } from "./reading.js"
import { Send, type Target } from "./send.js"
import { type Parts, SocketLifecycle } from "./socketLifecycle.js"
import { closeFrame, convert } from "./spoken.js"
import type { Unsupported } from "./Unsupported.js"
import { gather } from "./wholeMessages.js"

const noAddress: Option.Option<Address> = Option.none()

/** What is known of a socket beforehand. */
export interface Carried extends Omit<Parts, "closeCodes"> {
  readonly role: Role
  readonly capabilities: Capabilities
  readonly handshake: () => Handshake
  /** The failure of who wants to send pings. */
  readonly noPings: Unsupported
}

/** `Connection` over a socket that carries whole messages, and is open. */
export class SocketConnection extends Receiving implements Connection, Target {
  readonly id = connectionId()
  readonly role: Role
  readonly capabilities: Capabilities
  readonly context = Context.empty()
  readonly remoteAddress = noAddress
  readonly localAddress = noAddress
  readonly [TypeId]: Reading
  private readonly lifecycle: SocketLifecycle
  private readonly carried: Pick<Carried, "handshake" | "noPings">

  constructor(carried: Carried) {
    super()
    this.role = carried.role
    this.capabilities = carried.capabilities
    this.carried = carried
    this.lifecycle = new SocketLifecycle({ ...carried, closeCodes: carried.capabilities.closeCodes })
    this[TypeId] = new Reading(this.lifecycle.inbox, this.lifecycle)
  }

  /** Counts and traces it until it is over. */
  observe({ instruments, spans }: Engine, parent: AnySpan | undefined): void {
    instruments(this.role).alone(this.lifecycle)
    spans?.connection(this.role, this.id, this.lifecycle, parent)
  }

  get handshake(): Handshake {
    return this.carried.handshake()
  }

  /** The socket gives messages whole. */
  get receiveFragments(): Stream.Stream<Message, ReceiveError> {
    const { inbox } = this.lifecycle
    const begin = Effect.suspend(() => (inbox.claim() ? Effect.void : Effect.fail(new ConcurrencyError())))
    return Stream.unwrapScoped(
      Effect.as(
        Effect.acquireRelease(begin, () => Effect.sync(() => inbox.release())),
        Stream.fromEffect(this[TypeId].receiveClaimed)
      )
    )
  }

  get send() {
    return (message: Message, { type }: SendOptions = {}): Effect.Effect<void, ConnectionClosed> =>
      type === undefined ? new Send(this, message) : Effect.suspend(() => new Send(this, convert(message, type)))
  }

  startSend(message: Message): Effect.Effect<void, ConnectionClosed> | undefined {
    const { lifecycle } = this
    if (!lifecycle.isOpen) return this.failed
    if (!lifecycle.turns.isFree) return this.inTurn(message)
    return lifecycle.put(message) ? undefined : this.failed
  }

  private inTurn(message: Message): Effect.Effect<void, ConnectionClosed> {
    const { lifecycle } = this
    const { turns } = lifecycle
    const proceed = (): Effect.Effect<void, ConnectionClosed> => {
      const isSent = lifecycle.isOpen && lifecycle.put(message)
      return isSent ? Effect.void : this.failed
    }
    return Effect.async<void, ConnectionClosed>((resume) => {
      // The fiber comes here a step later: its turn may have come.
      if (!lifecycle.isOpen || turns.isFree) {
        resume(proceed())
        return
      }
      return Effect.sync(turns.add(() => resume(proceed())))
    })
  }

  get sendAll() {
    return (messages: Iterable<Message>): Effect.Effect<void, ConnectionClosed> =>
      Effect.suspend(() => {
        const iterator = messages[Symbol.iterator]()
        const next = (): Effect.Effect<void, ConnectionClosed> => {
          for (;;) {
            const { done, value } = iterator.next()
            if (done === true) return Effect.void
            const rest = this.startSend(value)
            if (rest !== undefined) return Effect.flatMap(rest, next)
          }
        }
        return next()
      })
  }

  /** The socket sends messages whole: nothing has left before the stream has ended, and where it fails nothing does. */
  get sendFragments() {
    return <E, R>(fragments: Stream.Stream<Message, E, R>): Effect.Effect<void, E | ConnectionClosed, R> =>
      Effect.flatMap(gather(fragments), (message) => (message === undefined ? Effect.void : this.send(message)))
  }

  get ping(): Effect.Effect<Duration.Duration, Unsupported> {
    return Effect.fail(this.carried.noPings)
  }

  get pong() {
    return (): Effect.Effect<void, Unsupported> => Effect.fail(this.carried.noPings)
  }

  get latency(): Effect.Effect<Option.Option<Duration.Duration>> {
    return Effect.succeedNone
  }

  get close() {
    return (close: Partial<Close> = {}): Effect.Effect<ConnectionClosed> =>
      Effect.suspend(() => {
        this.lifecycle.startClose(closeFrame(close))
        return this.closed
      })
  }

  get closed(): Effect.Effect<ConnectionClosed> {
    const { lifecycle } = this
    return Effect.async<ConnectionClosed>((resume) => {
      const takeBack = lifecycle.onClosed(() => resume(Effect.sync(() => lifecycle.error())))
      return Effect.sync(takeBack)
    })
  }

  get state(): Effect.Effect<State> {
    return Effect.sync(() => this.lifecycle.state)
  }

  get bufferedAmount(): Effect.Effect<number> {
    return Effect.sync(() => this.lifecycle.bufferedAmount)
  }

  /** The failure of who needs an open connection; where it ends, how it ended is waited for. */
  private get failed(): Effect.Effect<never, ConnectionClosed> {
    const { lifecycle } = this
    return Effect.suspend(() =>
      lifecycle.isEnding ? Effect.flatMap(this.closed, () => lifecycle.exit()) : lifecycle.exit()
    )
  }
}
