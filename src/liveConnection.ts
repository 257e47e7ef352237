import type { Address } from "@effect/platform/HttpServer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ConcurrencyError } from "./ConcurrencyError.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import { type Capabilities, everything } from "./capabilities.js"
import { connectionId } from "./connectionId.js"
import type { Parts } from "./connectionParts.js"
import type { Engine } from "./deadlines.js"
import { FragmentSender } from "./fragmentSender.js"
import type { Inbox, Message } from "./inbox.js"
import { Lifecycle } from "./lifecycle.js"
import type { Logs } from "./logs.js"
import type { Piece } from "./protocol/assembly.js"
import type { Entry } from "./protocol/Extension.js"
import * as Frame from "./protocol/Frame.js"
import type { RequestHead, ResponseHead } from "./protocol/Handshake.js"
import type { State } from "./protocol/Protocol.js"
import { Reading, type ReceiveError, Receiving, TypeId } from "./reading.js"
import type { Member } from "./roster.js"
import { Send } from "./send.js"
import { closeFrame, convert } from "./spoken.js"
import type { ByteStream } from "./Transport.js"
import { traced } from "./trace.js"

/** What both ends said in the opening handshake, and agreed on. RFC 6455 §4. */
export interface Handshake {
  readonly request: RequestHead
  readonly response: ResponseHead
  readonly subprotocol: Option.Option<string>
  readonly extensions: ReadonlyArray<Entry>
}

export interface SendOptions {
  /** What the message is sent as: a string as text and bytes as binary unless told otherwise. Bytes as text must be UTF-8. */
  readonly type?: "text" | "binary" | undefined
  /** Whether it is compressed, where the connection has compression: from its threshold on unless told otherwise. RFC 7692 §6. */
  readonly compress?: boolean | undefined
}

export interface LiveParts extends Parts {
  readonly handshake: () => Handshake
  readonly logs: Logs
  /** What a server's request hook gave this connection. */
  readonly context?: Context.Context<never> | undefined
}

/** For a stream of bytes on which the handshake was done elsewhere. */
export const unknownHandshake = (): Handshake => ({
  request: { method: "GET", target: "/", version: "1.1", headers: [] },
  response: { status: 101, headers: [] },
  subprotocol: Option.none(),
  extensions: []
})

/** `Connection` over a lifecycle: every operation as an Effect, made when it is asked for. */
export class LiveConnection extends Receiving implements Member {
  /** In its server's registry. */
  place = -1
  readonly id = connectionId()
  readonly lifecycle: Lifecycle
  readonly stream: ByteStream
  readonly context: Context.Context<never>
  readonly [TypeId]: Reading
  private readonly describe: () => Handshake
  private sending: ((message: Message, options?: SendOptions) => Effect.Effect<void, ConnectionClosed>) | undefined

  constructor(parts: LiveParts) {
    super()
    const { logs, role, stream } = parts
    this.stream = stream
    this.context = parts.context ?? Context.empty()
    this.lifecycle = new Lifecycle(
      logs.areFramesWanted
        ? { ...parts, stream: traced(stream, role, (line) => logs.debug(() => line, this.id)) }
        : parts
    )
    this.describe = parts.handshake
    // Parts of fragmented messages are in the inbox only while `receiveFragments` takes them out.
    this[TypeId] = new Reading(this.lifecycle.inbox as Inbox<Message>, this.lifecycle)
  }

  get role(): Frame.Role {
    return this.lifecycle.role
  }

  get capabilities(): Capabilities {
    return everything
  }

  get handshake(): Handshake {
    return this.describe()
  }

  get remoteAddress(): Option.Option<Address> {
    return Option.fromNullable(this.stream.remoteAddress())
  }

  get localAddress(): Option.Option<Address> {
    return Option.fromNullable(this.stream.localAddress())
  }

  get receiveFragments(): Stream.Stream<Message, ReceiveError> {
    const { lifecycle } = this
    const { inbox } = lifecycle
    const begin = Effect.suspend(() => {
      if (!inbox.claim()) return Effect.fail(new ConcurrencyError())
      if (inbox.isEmpty()) lifecycle.pieces.begin()
      return Effect.succeed({ isOver: false })
    })
    const end = ({ isOver }: { readonly isOver: boolean }) =>
      Effect.sync(() => {
        if (!isOver) lifecycle.pieces.end()
        inbox.release()
      })
    // What is in the inbox now is a whole message or, once fragments were asked for, a part of one.
    const pieces = this[TypeId].receiveClaimed as Effect.Effect<Message | Piece, ReceiveError>
    return Stream.unwrapScoped(
      Effect.map(Effect.acquireRelease(begin, end), (progress) =>
        Stream.takeUntil(
          Stream.repeatEffect(
            Effect.map(pieces, (item): Piece => {
              const piece = typeof item === "string" || !("final" in item) ? { data: item, final: true } : item
              progress.isOver = piece.final
              return piece
            })
          ),
          ({ final }) => final
        ).pipe(Stream.map(({ data }) => data))
      )
    )
  }

  // Functions that a program may take off the connection and pass on, so they are bound; `send` once, as it is used most.

  get send(): (message: Message, options?: SendOptions) => Effect.Effect<void, ConnectionClosed> {
    this.sending ??= (message, options) => {
      if (options === undefined) return new Send(this, message)
      const { type, compress } = options
      if (type === undefined) return new Send(this, message, compress)
      return Effect.suspend(() => new Send(this, convert(message, type), compress))
    }
    return this.sending
  }

  /** Sends a message: undefined when that is done, or else what is left of it, as it has to wait for its turn or for its memory. */
  startSend(message: Message, compress?: boolean | undefined): Effect.Effect<void, ConnectionClosed> | undefined {
    const { lifecycle } = this
    const { outbox } = lifecycle
    if (!lifecycle.isOpen || !outbox.isFree) return this.inTurn(() => outbox.message(message, compress))
    try {
      return outbox.message(message, compress) ? undefined : this.drained
    } catch (defect) {
      // The transport's callback may be where this happens.
      return Effect.die(defect)
    }
  }

  get sendAll() {
    return (messages: Iterable<Message>): Effect.Effect<void, ConnectionClosed> => this.sendEach(messages)
  }

  private sendEach(messages: Iterable<Message>): Effect.Effect<void, ConnectionClosed> {
    return Effect.suspend(() => {
      const { outbox } = this.lifecycle
      const iterator = messages[Symbol.iterator]()
      const next = (): Effect.Effect<void, ConnectionClosed> => {
        for (;;) {
          const { done, value } = iterator.next()
          if (done === true) return Effect.void
          if (!this.lifecycle.isOpen || !outbox.isFree) return Effect.flatMap(this.send(value), next)
          if (!outbox.message(value)) return Effect.flatMap(this.drained, next)
        }
      }
      return next()
    })
  }

  get sendFragments() {
    return <E, R>(fragments: Stream.Stream<Message, E, R>): Effect.Effect<void, E | ConnectionClosed, R> =>
      Effect.suspend(() => new FragmentSender(this).run(fragments))
  }

  get ping(): Effect.Effect<Duration.Duration, ConnectionClosed> {
    return Effect.suspend(() => {
      if (!this.lifecycle.isOpen) return this.failed
      return Effect.async<Duration.Duration, ConnectionClosed>((resume) => {
        const { pings } = this.lifecycle
        const done = (elapsed: number | undefined) =>
          resume(elapsed === undefined ? this.failed : Effect.succeed(Duration.millis(elapsed)))
        this.lifecycle.sendPing(done)
        return Effect.sync(() => pings.forget(done))
      })
    })
  }

  get pong() {
    return (payload: Uint8Array = new Uint8Array(0)): Effect.Effect<void, ConnectionClosed> => this.sendPong(payload)
  }

  private sendPong(payload: Uint8Array): Effect.Effect<void, ConnectionClosed> {
    return Effect.suspend(() => {
      if (payload.length > Frame.maxControlPayload) {
        return Effect.die(
          new RangeError(`a pong holds at most ${Frame.maxControlPayload} bytes, not ${payload.length}`)
        )
      }
      const { isOpen, outbox } = this.lifecycle
      if (!isOpen) return this.failed
      // §5.4: a control frame may stand inside a message in fragments, and so waits for room only.
      if (outbox.isFull()) return Effect.flatMap(this.drained, () => this.sendPong(payload))
      outbox.control(Frame.Opcode.Pong, payload)
      outbox.schedule()
      return Effect.void
    })
  }

  get latency(): Effect.Effect<Option.Option<Duration.Duration>> {
    return Effect.sync(() => Option.map(Option.fromNullable(this.lifecycle.pings.latency), Duration.millis))
  }

  get close() {
    return (close: Partial<Frame.Close> = {}): Effect.Effect<ConnectionClosed> => this.startClose(close)
  }

  private startClose(close: Partial<Frame.Close>): Effect.Effect<ConnectionClosed> {
    return Effect.suspend(() => {
      this.lifecycle.startClose(closeFrame(close))
      return this.closed
    })
  }

  get closed(): Effect.Effect<ConnectionClosed> {
    return Effect.async<ConnectionClosed>((resume) => {
      const takeBack = this.lifecycle.onClosed(() => resume(Effect.sync(() => this.lifecycle.error())))
      return Effect.sync(takeBack)
    })
  }

  get state(): Effect.Effect<State> {
    return Effect.sync(() => this.lifecycle.state)
  }

  get bufferedAmount(): Effect.Effect<number> {
    return Effect.sync(() => this.lifecycle.outbox.bufferedAmount())
  }

  /** The failure of whoever needs an open connection; while the closing handshake runs its result is waited for. */
  get failed(): Effect.Effect<never, ConnectionClosed> {
    return Effect.suspend(() =>
      this.lifecycle.state._tag === "Closing"
        ? Effect.flatMap(this.closed, () => this.lifecycle.exit())
        : this.lifecycle.exit()
    )
  }

  /** Waits until the transport has taken everything that it has now, so that the caller's memory is its own again. */
  get drained(): Effect.Effect<void, ConnectionClosed> {
    const { lifecycle } = this
    const { outbox } = lifecycle
    const before = outbox.drains
    const outcome = () => (lifecycle.isOpen ? Effect.void : this.failed)
    return Effect.async<void, ConnectionClosed>((resume) => {
      // The fiber comes here a step later: what it waits for may have happened.
      if (outbox.drains !== before || !lifecycle.isOpen) {
        resume(outcome())
        return
      }
      return Effect.sync(outbox.onDrain(() => resume(outcome())))
    })
  }

  /** Puts something among what is to be sent when its turn has come and there is room. */
  inTurn(put: () => boolean): Effect.Effect<void, ConnectionClosed> {
    return this.when(
      () => this.lifecycle.outbox.isOpenForMessages,
      (proceed) => this.lifecycle.outbox.onTurn(proceed),
      put
    )
  }

  /** The same for the next fragment of the message whose turn it is. */
  inRoom(put: () => boolean): Effect.Effect<void, ConnectionClosed> {
    return this.when(
      () => !this.lifecycle.outbox.isFull(),
      (proceed) => this.lifecycle.outbox.onRoom(proceed),
      put
    )
  }

  private when(
    isNow: () => boolean,
    onTime: (proceed: () => void) => () => void,
    put: () => boolean
  ): Effect.Effect<void, ConnectionClosed> {
    const { lifecycle } = this
    const proceed = (): Effect.Effect<void, ConnectionClosed> => {
      if (!lifecycle.isOpen) return this.failed
      try {
        return put() ? Effect.void : this.drained
      } catch (defect) {
        // The transport's callback may be where this happens, and other senders wait behind it.
        return Effect.die(defect)
      }
    }
    return Effect.suspend(() => {
      if (!lifecycle.isOpen || isNow()) return proceed()
      return Effect.async<void, ConnectionClosed>((resume) => {
        // The fiber comes here a step later: its time may have come.
        if (!lifecycle.isOpen || isNow()) {
          resume(proceed())
          return
        }
        return Effect.sync(onTime(() => resume(proceed())))
      })
    })
  }
}

/** A connection with a watch of its own, which ends with it. */
export const openAlone = (
  { deadlines, instruments, logs }: Engine,
  parts: Omit<LiveParts, "deadlines" | "logs" | "onRoundTrip">
): LiveConnection => {
  const counting = instruments(parts.role)
  const connection = new LiveConnection({ ...parts, deadlines, logs, onRoundTrip: counting.onRoundTrip })
  counting.alone(connection.lifecycle)
  connection.lifecycle.onClosed(() => deadlines.stop())
  return connection
}
