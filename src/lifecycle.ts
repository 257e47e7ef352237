import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { type ConnectionClosed, connectionClosed, type Traffic } from "./ConnectionClosed.js"
import { Calls } from "./calls.js"
import type { Parts } from "./connectionParts.js"
import type { Deadlines, Entry } from "./deadlines.js"
import { Inbox, type Message, type Supplier } from "./inbox.js"
import { macrotask } from "./macrotask.js"
import { type Meter, meterOf } from "./meter.js"
import { Outbox } from "./outbox.js"
import { perform } from "./perform.js"
import { Pieces } from "./pieces.js"
import { Pings } from "./pings.js"
import type { Piece } from "./protocol/assembly.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Codec } from "./protocol/Extension.js"
import * as Frame from "./protocol/Frame.js"
import { FrameDecoder, type Receiver } from "./protocol/FrameDecoder.js"
import { FrameEncoder } from "./protocol/FrameEncoder.js"
import * as Protocol from "./protocol/Protocol.js"
import type { Settings } from "./settings.js"
import type { ByteStream, Sink } from "./Transport.js"
import type { TransportError } from "./TransportError.js"
import { endBy, Watch } from "./watch.js"

/**
 * One connection at work, without Effect: bytes come in from the transport,
 * messages go to the inbox, what is sent goes through the outbox, and the
 * state of the closing handshake changes in one place.
 */

const NEVER = Number.POSITIVE_INFINITY
const NONE = -1

const nothing: ReadonlyArray<never> = []

export class Lifecycle implements Sink, Receiver, Supplier, Entry {
  readonly role: Frame.Role
  readonly inbox: Inbox<Message | Piece>
  readonly outbox: Outbox
  private current: Protocol.State = Protocol.open
  private readonly decoder: FrameDecoder
  readonly stream: ByteStream
  private readonly settings: Settings
  readonly codecs: ReadonlyArray<Codec>
  private readonly deadlines: Deadlines
  private readonly watch: Watch
  private readonly pingPayloads: () => number
  private readonly onRoundTrip: Parts["onRoundTrip"]
  private madePings: Pings | undefined

  /** What ends the connection and stands behind messages that have not been taken. */
  private late: ReadonlyArray<Protocol.Change> = nothing
  /** What the transport says while an extension takes its time with a message: it comes behind that. */
  private behind: Calls | undefined
  private isGone = false
  private paused = false
  private pausedAt = 0
  private readonly meter: Meter | undefined
  /** Milliseconds of the Clock, at the latest chunk. */
  private now: number
  messagesReceived = 0
  /** Of messages that are taken in parts all but the last. */
  private parts = 0
  private madePieces: Pieces | undefined
  private readonly openedAt: number
  bytesReceived = 0
  private traffic: Traffic | undefined

  private closeDue = NEVER
  dueAt = NEVER
  place = NONE
  private readonly whenClosed = new Calls()
  private failure: ConnectionClosed | undefined
  private failed: Exit.Exit<never, ConnectionClosed> | undefined

  constructor({ role, stream, settings, codecs, maskingKeys, pingPayloads, deadlines, onRoundTrip }: Parts) {
    this.role = role
    this.stream = stream
    this.settings = settings
    this.codecs = codecs
    this.deadlines = deadlines
    this.now = deadlines.now()
    this.openedAt = this.now
    this.watch = new Watch(settings, this.now)
    this.pingPayloads = pingPayloads
    this.onRoundTrip = onRoundTrip
    this.inbox = new Inbox<Message | Piece>(this, settings.receiveHighWaterMark)
    this.meter = meterOf(this, deadlines, settings)
    this.decoder = new FrameDecoder({ role, receiver: this.meter ?? this, codecs }, settings)
    this.outbox = new Outbox(stream, new FrameEncoder({ role, maskingKeys, codecs }), settings.sendHighWaterMark)
    this.scheduleBy(this.watch.dueAt)
    stream.attach(this.meter ?? this)
  }

  get state(): Protocol.State {
    return this.current
  }

  get isOpen(): boolean {
    return this.current._tag === "Open"
  }

  get pings(): Pings {
    this.madePings ??= new Pings(this.pingPayloads, this.settings.maxPingsPerSecond, this.onRoundTrip)
    return this.madePings
  }

  get pieces(): Pieces {
    this.madePieces ??= new Pieces(this.decoder, this.inbox)
    return this.madePieces
  }

  // From the transport

  data(bytes: Uint8Array): void {
    const now = this.deadlines.now()
    this.now = now
    this.bytesReceived += bytes.length
    const wasInDoubt = this.watch.heard(now)
    const before = this.messagesReceived + this.parts
    this.outbox.cork()
    this.hasRead(this.decoder.decode(bytes), wasInDoubt, before)
  }

  /** An extension that has taken its time is done: what has come meanwhile is read as if it came now. */
  decoded(): void {
    this.now = this.deadlines.now()
    const before = this.messagesReceived + this.parts
    this.outbox.cork()
    this.hasRead(this.decoder.proceed(), false, before)
    if (this.decoder.isSuspended) return
    this.behind?.run()
  }

  private hasRead(violation: Frame.Violation | undefined, wasInDoubt: boolean, before: number): void {
    if (violation !== undefined) this.later((state) => Protocol.fail(state, violation))
    const hasBegun = this.watch.read(this.decoder.isPartial, this.messagesReceived + this.parts > before, this.now)
    if ((hasBegun || wasInDoubt) && this.isOpen) this.scheduleBy(this.watch.dueAt)
    this.pauseOrResume()
    // Last, since the handler may go on inside: what it answers leaves in one write with the pongs.
    this.inbox.wakeInline()
    this.outbox.uncork()
  }

  end(): void {
    this.inOrder(() => this.later(Protocol.receiveEnd))
  }

  drain(): void {
    if (this.current._tag === "Open") this.outbox.drained()
  }

  closed(error: TransportError | undefined): void {
    // Nobody waits for room in an inbox that may never be emptied.
    this.isGone = true
    if (this.decoder.isSuspended && !this.decoder.isDecoding) this.decoded()
    this.inOrder(() => {
      // Nothing can be answered any more: what stands before it is acted on now.
      this.actOnLate()
      this.transition((state) => Protocol.lose(state, error))
    })
  }

  /** Behind a message for which an extension takes its time. */
  private inOrder(run: () => void): void {
    if (!this.decoder.isSuspended) {
      run()
      return
    }
    this.behind ??= new Calls()
    this.behind.add(run)
  }

  // From the decoder

  message(message: Message): void {
    this.messagesReceived++
    this.inbox.push(message)
  }

  fragment(piece: Piece): void {
    if (piece.final) this.messagesReceived++
    else this.parts++
    this.pieces.add(piece)
  }

  ping(payload: Uint8Array): void {
    if (!this.isOpen || this.late.length > 0) return
    if (this.pings.admit(this.now)) this.outbox.pong(payload)
    else this.refuse(`more than maxPingsPerSecond (${this.settings.maxPingsPerSecond}) pings in a second`)
  }

  pong(payload: Uint8Array): void {
    this.madePings?.answer(payload, this.now)
  }

  close(close: Frame.Close): void {
    this.later((state) => Protocol.receiveClose(this.role, state, close))
  }

  /** The peer goes beyond a limit: the connection ends behind the messages that were within it. */
  refuse(reason: string): void {
    this.later((state) => Protocol.fail(state, Frame.violation(CloseCode.PolicyViolation, reason)))
  }

  // From the inbox

  idle(): void {
    this.outbox.flush()
    if (this.late.length > 0) this.actOnLate()
  }

  roomy(): void {
    this.goOn()
  }

  /** Whether the decoder is to stop inside of a chunk. */
  isFull(): boolean {
    return this.isOpen && !this.isGone && this.inbox.isFull()
  }

  /** How the connection ended; asked for when it has. */
  error(): ConnectionClosed {
    this.failure ??= connectionClosed({ closure: this.closure(), traffic: this.traffic ?? this.measure() })
    return this.failure
  }

  private measure(): Traffic {
    const { bytesReceived, deadlines, openedAt, outbox } = this
    return { duration: Duration.millis(deadlines.now() - openedAt), bytesReceived, bytesSent: outbox.bytesSent }
  }

  exit(): Exit.Exit<never, ConnectionClosed> {
    this.failed ??= Exit.fail(this.error())
    return this.failed
  }

  get isClean(): boolean {
    return Protocol.isClean(this.closure())
  }

  /** How the connection ended, or as much of it as is known. */
  closure(): Protocol.Closure {
    return Protocol.closureOf(this.current)
  }

  // From the connection's user

  /** Starts the closing handshake; one that has begun goes on as it is. */
  startClose(close: Frame.Close): void {
    this.actOnLate()
    this.transition((state) => Protocol.startClose(state, close))
  }

  /** Calls back when nothing is left of the connection; at once where that is so. Returns how to take that back. */
  onClosed(run: () => void): () => void {
    if (this.current._tag !== "Closed") return this.whenClosed.add(run)
    run()
    return () => {}
  }

  /** Sends a ping; `done` hears of its pong. */
  sendPing(done?: ((elapsed: number | undefined) => void) | undefined): void {
    this.outbox.control(Frame.Opcode.Ping, this.pings.begin(this.deadlines.now(), done))
    this.outbox.schedule()
  }

  // The state

  /** Acts on what ends the connection, behind the messages that came before it. */
  private later(change: Protocol.Change): void {
    const isNext = this.late.length === 0 && this.inbox.isEmpty() && this.inbox.isAwaited()
    if (!this.isOpen || isNext) {
      this.transition(change)
    } else {
      this.late = [...this.late, change]
      if (this.late.length === 1) macrotask(() => this.actOnLate())
    }
  }

  private actOnLate(): void {
    const changes = this.late
    this.late = nothing
    for (const change of changes) this.transition(change)
  }

  /** The one place where the state changes: first the state, then the bytes, then whoever waits. */
  private transition(change: Protocol.Change): void {
    const before = this.current
    const { state, output } = change(before)
    this.current = state
    for (const item of output) perform(item, this.outbox, this.stream)
    if (state._tag !== before._tag) this.entered(state, before)
  }

  private entered(state: Protocol.State, before: Protocol.State): void {
    switch (state._tag) {
      case "Open":
        return
      case "Closing":
      case "Draining":
        if (before._tag === "Open") {
          // §5.5.1, §1.4: what comes now is read for its limits and thrown away; unread messages do not hold up the end.
          this.decoder.discard()
          this.goOn()
          this.closeDue = this.deadlines.now() + this.settings.closeTimeout
          this.deadlines.set(this, this.closeDue)
        }
        if (state._tag === "Draining") {
          this.settle()
          this.pauseOrResume()
        }
        return
      case "Closed":
        this.deadlines.remove(this)
        if (before._tag !== "Draining") this.settle()
        this.whenClosed.run()
        return
    }
  }

  /** How the connection ended is certain: nobody waits for messages, room or pongs any more. */
  private settle(): void {
    this.traffic = this.measure()
    this.outbox.end()
    this.madePings?.end()
    this.inbox.end()
    this.decoder.end()
    for (const codec of this.codecs) codec.end?.()
    this.behind?.run()
  }

  // Reading and not reading

  /** Reads what the decoder has kept for want of room, behind whatever runs now, or else what comes. */
  private goOn(): void {
    if (this.decoder.isSuspended && !this.decoder.isDecoding) macrotask(() => this.decoded())
    else this.pauseOrResume()
  }

  /** Reads on, unless the inbox is full or the decoder keeps what it has. */
  private pauseOrResume(): void {
    const isFull = this.isFull()
    if (isFull) this.inbox.awaitRoom()
    const isHeld = isFull || this.decoder.isSuspended
    if (isHeld === this.paused) return
    this.paused = isHeld
    const now = this.deadlines.now()
    if (isHeld) {
      this.pausedAt = now
      this.stream.pause()
      return
    }
    this.watch.restart(now)
    this.meter?.waited(now - this.pausedAt)
    this.madePings?.waited(now - this.pausedAt)
    this.stream.resume()
  }

  // Time

  /** Has the queue look at this connection at that time, or earlier. */
  private scheduleBy(dueAt: number): void {
    if (dueAt === NEVER || (this.place >= 0 && this.dueAt <= dueAt)) return
    this.deadlines.set(this, dueAt)
  }

  fire(now: number): void {
    switch (this.current._tag) {
      case "Open":
        this.checkOpen(now)
        break
      case "Closing":
      case "Draining":
        if (now >= this.closeDue) this.transition(Protocol.expire)
        else this.scheduleBy(this.closeDue)
        break
      case "Closed":
        break
    }
  }

  private checkOpen(now: number): void {
    const { pingInterval, messageTimeout } = this.settings
    if (this.paused) {
      // The peer is not heard because we do not listen, and so its deadlines do not run.
      this.scheduleBy(now + Math.min(pingInterval, messageTimeout))
      return
    }
    const finding = this.watch.check(now)
    if (finding === "quiet") this.sendPing()
    const end = endBy(finding, messageTimeout)
    if (end === undefined) this.scheduleBy(this.watch.dueAt)
    else this.transition(end)
  }
}
