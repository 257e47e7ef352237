import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { type ConnectionClosed, connectionClosed, type Traffic } from "./ConnectionClosed.js"
import { Calls } from "./calls.js"
import type { Engine, Entry } from "./deadlines.js"
import { Inbox, type Message, type Supplier } from "./inbox.js"
import type { CloseEvent, Listener, MessageSocket } from "./messageSocket.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { type Close, type Violation, violation } from "./protocol/Frame.js"
import * as Protocol from "./protocol/Protocol.js"
import type { Ending } from "./reading.js"
import { closingByPeer, ended, expired, isCertain, sendable } from "./socketEnding.js"
import { codeOf, TransportError } from "./TransportError.js"
import { Turns } from "./turns.js"
import { sizeOf } from "./wholeMessages.js"

/**
 * One socket at work that carries whole messages, without Effect: its events
 * come in, messages go to the inbox, and the state changes in one place.
 */

export interface Limits {
  /** Milliseconds. */
  readonly closeTimeout: number
  readonly maxMessageSize: number
  readonly maxUnread: number
  readonly sendHighWaterMark: number
}

export const defaultMaxUnread = 67_108_864

export interface Parts {
  readonly socket: MessageSocket
  readonly limits: Limits
  /** This connection's own. */
  readonly engine: Engine
  /** The other end, as errors show it. */
  readonly peer: string
  /** Whether it sends every code of RFC 6455 §7.4. */
  readonly closeCodes: boolean
}

export class SocketLifecycle implements Listener, Supplier, Ending, Entry {
  private readonly socket: MessageSocket
  readonly inbox: Inbox
  readonly turns: Turns
  private readonly parts: Parts
  private readonly whenClosed = new Calls()
  private current: Protocol.State = Protocol.open
  /** What the socket has told of an error. */
  private cause: Protocol.Cause | undefined
  private failure: ConnectionClosed | undefined
  private readonly openedAt: number
  bytesReceived = 0
  messagesReceived = 0
  /** What counts as sent, beside what the runtime has of it. */
  readonly outbox = { bytesSent: 0, messagesSent: 0, bufferedAmount: () => this.socket.bufferedAmount }
  private traffic: Traffic | undefined
  dueAt = Number.POSITIVE_INFINITY
  place = -1

  constructor(parts: Parts) {
    const { engine, limits, socket } = parts
    this.parts = parts
    this.socket = socket
    this.inbox = new Inbox(this, limits.maxUnread)
    this.turns = new Turns(engine.deadlines, () => this.socket.bufferedAmount, limits.sendHighWaterMark)
    this.openedAt = engine.deadlines.now()
    socket.handOver(this)
  }

  // What the socket tells

  opened(): void {}

  received(message: Message): void {
    // What comes behind our close frame is discarded, as most runtimes do themselves. Before the peer's it all counts.
    if (this.current._tag === "Closing" || isCertain(this.current)) return
    const { maxMessageSize, maxUnread } = this.parts.limits
    const size = sizeOf(message)
    this.bytesReceived += size
    if (size > maxMessageSize) {
      this.fail(violation(CloseCode.MessageTooBig, `a message of ${size} bytes is above maxMessageSize`))
    } else if (this.inbox.isFull()) {
      this.fail(violation(CloseCode.PolicyViolation, `messages of ${maxUnread} bytes (maxUnread) wait to be taken`))
    } else {
      this.messagesReceived++
      this.inbox.push(message)
      this.inbox.wake()
    }
  }

  drained(): void {
    this.turns.proceed()
  }

  failed(why: Error | undefined): void {
    const cause = why ?? new Error("the runtime does not say why")
    const error = new TransportError({ operation: "stream", peer: this.parts.peer, code: codeOf(cause), cause })
    this.cause = { _tag: "TransportError", error }
    // A socket that tells nothing more is not waited for without end.
    this.notice()
  }

  closed(event: CloseEvent): void {
    this.enter(ended(this.current, event, this.cause ?? { _tag: "EndOfStream" }))
  }

  // What its user does

  /** Whether messages can be sent. */
  get isOpen(): boolean {
    this.notice()
    return this.current._tag === "Open"
  }

  /** That the peer has begun to close is not told. */
  private notice(): void {
    if (this.current._tag === "Open" && !this.socket.isOpen) this.enter(closingByPeer)
  }

  /** Whether how it ends is not known yet, and will be. */
  get isEnding(): boolean {
    return !isCertain(this.current)
  }

  get state(): Protocol.State {
    return this.current
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount
  }

  /** Sends, which takes a copy; false where the socket could not, and the connection is over. */
  put(message: Message): boolean {
    try {
      this.socket.send(message)
      this.outbox.bytesSent += sizeOf(message)
      this.outbox.messagesSent++
      return true
    } catch (error) {
      // A browser's throws where there is no connection yet, and that is before us: whatever it is, this socket is of no use.
      this.failed(error instanceof Error ? error : new Error(String(error)))
      this.abandon()
      return false
    }
  }

  startClose(close: Close): void {
    if (!this.isOpen) return
    const sent = this.said(close)
    this.enter(Protocol.startClose(this.current, sent).state)
    this.socket.close(sent.code, sent.reason)
  }

  private said(close: Close): Close {
    return this.parts.closeCodes ? close : sendable(close)
  }

  /** The peer broke a limit. */
  private fail(problem: Violation): void {
    const { code, reason } = this.said(problem)
    this.enter(Protocol.fail(this.current, violation(code, reason)).state)
    this.socket.close(code, reason)
  }

  private abandon(): void {
    this.socket.letGo()
    this.closed({ code: CloseCode.AbnormalClosure, reason: "", wasClean: false })
    this.socket.close()
  }

  // The end

  private enter(next: Protocol.State): void {
    const { deadlines } = this.parts.engine
    if (next === this.current) return
    this.current = next
    if (isCertain(next)) {
      this.traffic ??= this.measure()
      this.inbox.end()
    }
    this.turns.end()
    if (next._tag === "Closed") {
      this.socket.letGo()
      deadlines.stop()
      this.whenClosed.run()
    } else {
      deadlines.set(this, deadlines.now() + this.parts.limits.closeTimeout)
    }
  }

  /** `closeTimeout` is up: what is left of the socket is left to it. */
  fire(): void {
    this.enter(expired(this.current, this.cause ?? { _tag: "CloseTimeout" }))
  }

  onClosed(run: () => void): () => void {
    if (this.current._tag !== "Closed") return this.whenClosed.add(run)
    run()
    return () => {}
  }

  private measure(): Traffic {
    const { bytesReceived, openedAt, outbox, parts } = this
    const duration = Duration.millis(parts.engine.deadlines.now() - openedAt)
    return { duration, bytesReceived, bytesSent: outbox.bytesSent }
  }

  /** How it ended; asked for when that is certain. */
  error(): ConnectionClosed {
    const closure = Protocol.closureOf(this.current)
    this.failure ??= connectionClosed({ closure, traffic: this.traffic ?? this.measure() })
    return this.failure
  }

  exit(): Exit.Exit<never, ConnectionClosed> {
    return Exit.fail(this.error())
  }

  get isClean(): boolean {
    return Protocol.isClean(Protocol.closureOf(this.current))
  }

  // Reading cannot be paused, and so nothing goes on when it might.

  idle(): void {}

  roomy(): void {}
}
