import { allocate } from "../protocol/native.js"
import type { Address, ByteStream, Sink, WriteResult } from "../Transport.js"
import { TransportError } from "../TransportError.js"
import { type Lane, soon } from "./lane.js"
import type { Said } from "./recording.js"
import type { Wire } from "./wire.js"

/** One end of a wire. */
export class End implements ByteStream {
  wire!: Wire
  /** Whoever has it does nothing by itself, as answering a close frame. */
  isPassive = false
  private readonly outgoing: Lane
  private readonly incoming: Lane
  private readonly address: Address
  private readonly peerAddress: Address
  private sink: Sink | undefined
  private isPaused = false
  private hasEnded = false
  private peerHasEnded = false
  private isGone = false
  private awaitsDrain = false
  private error: TransportError | undefined
  private isTold = false
  private whenGone: Array<(error: TransportError | undefined) => void> = []
  private whenEnded: Array<() => void> = []

  constructor(outgoing: Lane, incoming: Lane, address: Address, peerAddress: Address) {
    this.outgoing = outgoing
    this.incoming = incoming
    this.address = address
    this.peerAddress = peerAddress
    outgoing.writer = this
    incoming.receiver = this
  }

  attach(sink: Sink): void {
    this.sink = sink
    this.incoming.run()
    if (this.peerHasEnded) soon(() => sink.end())
    if (this.isGone) soon(() => this.tellClosed())
  }

  write(bytes: Uint8Array): WriteResult {
    if (this.isGone || this.hasEnded) return "sent"
    const copy = allocate(bytes.length)
    copy.set(bytes)
    this.outgoing.write(copy)
    if (!this.outgoing.isFull) return "sent"
    this.awaitsDrain = true
    return "full"
  }

  /** Says something to the other end that is no bytes. */
  say(said: Said, arrive: () => void): void {
    if (!this.isGone) this.outgoing.say(said, arrive)
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.incoming.run()
  }

  bufferedAmount(): number {
    return this.awaitsDrain ? this.outgoing.bufferedAmount : 0
  }

  end(): void {
    if (this.isGone || this.hasEnded) return
    this.hasEnded = true
    this.outgoing.end()
    this.closeIfDone()
  }

  destroy(): void {
    if (this.isGone) return
    // As a system does it: what was written still goes, and then the end; what comes is met by a reset.
    if (!this.hasEnded) this.outgoing.end()
    this.gone(undefined)
  }

  /** The wire is cut: nothing that is on its way arrives. */
  cut(error: TransportError): void {
    this.outgoing.drop()
    this.gone(error)
  }

  remoteAddress(): Address {
    return this.peerAddress
  }

  localAddress(): Address {
    return this.address
  }

  get isThere(): boolean {
    return !this.isGone
  }

  /** Whether bytes can be had now: they wait for somebody who reads. */
  get acceptsBytes(): boolean {
    return this.isGone || (this.sink !== undefined && !this.isPaused)
  }

  take(bytes: Uint8Array): void {
    if (this.isGone) this.resetPeer()
    else this.sink!.data(bytes.slice())
  }

  takeEnd(): void {
    this.peerHasEnded = true
    if (this.isGone) return
    for (const run of this.whenEnded.splice(0)) run()
    this.sink?.end()
    this.closeIfDone()
  }

  drained(): void {
    if (!this.awaitsDrain || this.isGone) return
    this.awaitsDrain = false
    this.sink?.drain()
  }

  /** Bytes have come for an end that is gone: its peer learns of that. */
  private resetPeer(): void {
    this.incoming.writer.cut(
      new TransportError({
        operation: "stream",
        peer: "memory",
        code: "ECONNRESET",
        cause: new Error("the other end is gone")
      })
    )
  }

  private closeIfDone(): void {
    if (this.hasEnded && this.peerHasEnded) this.gone(undefined)
  }

  private gone(error: TransportError | undefined): void {
    if (this.isGone) return
    this.isGone = true
    this.error = error
    this.incoming.run()
    for (const run of this.whenGone.splice(0)) soon(() => run(error))
    if (this.sink !== undefined) soon(() => this.tellClosed())
  }

  /** Calls back when the other end has ended its side. */
  onEnd(run: () => void): void {
    this.whenEnded.push(run)
  }

  /** Calls back when nothing is left of this end. */
  onGone(run: (error: TransportError | undefined) => void): void {
    if (this.isGone) soon(() => run(this.error))
    else this.whenGone.push(run)
  }

  private tellClosed(): void {
    if (this.isTold || this.sink === undefined) return
    this.isTold = true
    this.sink.closed(this.error)
  }
}
