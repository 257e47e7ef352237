import type * as Duration from "effect/Duration"
import { macrotask } from "../macrotask.js"
import type { Role } from "../protocol/Frame.js"
import { atLeastZero, milliseconds, positive } from "../settings.js"
import type { End } from "./end.js"
import type { Recorder, Said } from "./recording.js"

/** One way of a wire: what has been written and has not arrived. */

/** What travels from one end to the other. */
type Parcel =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
  /** Something that is no bytes: a request, a response, or the end. */
  | { readonly _tag: "Value"; readonly arrive: () => void }

/** As much as a system's socket buffer: above it a writer is told to wait. */
const CAPACITY = 65_536

/** One by one, microtasks would keep timers and other input waiting for as long as two ends talk. */
const MICROTASKS_IN_A_ROW = 256
let inARow = 0
export const soon = (run: () => void): void => {
  inARow++
  if (inARow < MICROTASKS_IN_A_ROW) queueMicrotask(run)
  else {
    inARow = 0
    // As `settle` waits: a timer could come behind all of its turns.
    macrotask(run)
  }
}

/** What is wrong with one way of a wire. */
export interface DirectionFaults {
  /** Nothing arrives: false. */
  readonly stalled: boolean
  /** How long everything takes, by the Clock: no time. A number is milliseconds. */
  readonly delay: Duration.DurationInput
  /** Bytes that arrive at a time: no limit. */
  readonly split: number
  /** So many bytes, counted from now, arrive apart from those behind them. */
  readonly splitAt: number
  /** What a slow peer reads, or a thin line carries, within a second of the Clock: no limit. */
  readonly bytesPerSecond: number
  /** Bytes that may be on their way before the writer is told to wait, as in a system's buffers: 65,536. */
  readonly capacity: number
  /** The wire is cut when so many bytes, counted from now, have arrived; with 0 nothing does, an opening handshake neither. */
  readonly cutAfterBytes: number
  /** The same for frames. */
  readonly cutAfterFrames: number
}

/** A slow line carries something so often within a second. */
const STEPS = 10

/** What a lane has of its wire. */
export interface LaneParts {
  readonly from: Role
  readonly recorder: Recorder
  /** Milliseconds of the Clock. */
  readonly now: () => number
  readonly sleep: (milliseconds: number, then: () => void) => void
  readonly cut: () => void
  /** As many bytes have arrived as `splitAt` or `cutAfterBytes` says. */
  readonly reached: () => void
}

const unlimited = Number.POSITIVE_INFINITY

export class Lane {
  private readonly parcels: Array<{ parcel: Parcel; ripeAt: number }> = []
  private readonly parts: LaneParts
  private size = 0
  /** Bytes that have arrived. */
  private delivered = 0
  private isRunning = false
  private wakesAt = unlimited

  private isStalled = false
  private delay = 0
  private split = unlimited
  private rate = unlimited
  private capacity = CAPACITY
  /** Numbers of bytes. */
  private splitAt = unlimited
  private cutAt = unlimited
  private framesLeft = unlimited
  /** Since when a slow line has been busy without a break, and with how many bytes so far. */
  private busy: { readonly since: number; bytes: number } | undefined

  receiver!: End
  writer!: End

  constructor(parts: LaneParts) {
    this.parts = parts
  }

  get bufferedAmount(): number {
    return this.size
  }

  get isFull(): boolean {
    return this.size > this.capacity
  }

  set(faults: Partial<DirectionFaults>): void {
    const { bytesPerSecond, capacity, cutAfterBytes, cutAfterFrames, delay, split, splitAt, stalled } = faults
    if (stalled !== undefined) this.isStalled = stalled
    if (delay !== undefined) this.delay = milliseconds("delay", delay)
    if (split !== undefined) this.split = Math.ceil(positive("split", split))
    if (bytesPerSecond !== undefined) this.rate = positive("bytesPerSecond", bytesPerSecond)
    if (capacity !== undefined) this.capacity = atLeastZero("capacity", capacity)
    if (splitAt !== undefined) this.splitAt = this.delivered + atLeastZero("splitAt", splitAt)
    if (cutAfterBytes !== undefined) this.cutAt = this.delivered + atLeastZero("cutAfterBytes", cutAfterBytes)
    if (cutAfterFrames !== undefined) this.framesLeft = atLeastZero("cutAfterFrames", cutAfterFrames)
    this.run()
  }

  /** Nothing is wrong any more, and what was on its way has been so for long enough. */
  heal(): void {
    this.isStalled = false
    this.delay = 0
    this.split = this.splitAt = this.rate = this.cutAt = this.framesLeft = unlimited
    this.capacity = CAPACITY
    for (const parcel of this.parcels) parcel.ripeAt = 0
    this.run()
  }

  /** Bytes that are the lane's own from now on. */
  write(bytes: Uint8Array): void {
    this.size += bytes.length
    this.parts.recorder.wrote(this.parts.from, bytes)
    this.put({ _tag: "Bytes", bytes })
  }

  end(): void {
    this.say({ _tag: "End", from: this.parts.from }, () => this.receiver.takeEnd())
  }

  say(said: Said, then: () => void): void {
    const arrived = this.parts.recorder.said(said)
    const arrive = () => {
      arrived()
      then()
    }
    this.put({ _tag: "Value", arrive })
  }

  private put(parcel: Parcel): void {
    this.parcels.push({ parcel, ripeAt: this.parts.now() + this.delay })
    this.run()
  }

  /** What is on its way is lost. */
  drop(): void {
    this.parcels.length = 0
    this.size = 0
  }

  run(): void {
    if (this.isRunning || this.parcels.length === 0) return
    this.isRunning = true
    soon(() => {
      this.isRunning = false
      this.deliverAll()
    })
  }

  private deliverAll(): void {
    let dueAt = 0
    for (let first = this.ready(); first !== undefined; first = this.ready()) {
      if (this.isAtCut) {
        this.cut()
        return
      }
      const piece = this.pieceOf(first.parcel)
      dueAt = this.dueOf(piece)
      if (dueAt > this.parts.now()) break
      this.deliver(first, piece)
    }
    if (dueAt > this.parts.now()) this.wakeAt(dueAt)
    else this.busy = undefined
    if (this.size === 0) this.writer.drained()
  }

  /** What is to arrive next, if nothing keeps it. */
  private ready(): { parcel: Parcel } | undefined {
    const first = this.parcels[0]
    if (this.isStalled || first === undefined) return undefined
    if (first.parcel._tag === "Bytes" && !this.receiver.acceptsBytes) return undefined
    if (first.ripeAt <= this.parts.now()) return first
    this.wakeAt(first.ripeAt)
    return undefined
  }

  private get isAtCut(): boolean {
    return this.delivered >= this.cutAt || this.framesLeft <= 0
  }

  private cut(): void {
    if (this.delivered >= this.cutAt) this.parts.reached()
    this.parts.cut()
  }

  /** How many bytes arrive together; 0 of what is no bytes. */
  private pieceOf(parcel: Parcel): number {
    if (parcel._tag !== "Bytes") return 0
    const { delivered, framesLeft, parts, rate } = this
    const step = rate === unlimited ? unlimited : Math.max(1, Math.floor(rate / STEPS))
    const frames =
      framesLeft === unlimited ? unlimited : (parts.recorder.untilFrames(parts.from, framesLeft) ?? unlimited)
    const apart = this.splitAt > delivered ? this.splitAt - delivered : unlimited
    return Math.min(parcel.bytes.length, this.split, step, frames, apart, this.cutAt - delivered)
  }

  /** When a slow line has carried so many bytes more. */
  private dueOf(bytes: number): number {
    if (bytes === 0 || this.rate === unlimited) return 0
    this.busy ??= { since: this.parts.now(), bytes: 0 }
    return this.busy.since + Math.ceil(((this.busy.bytes + bytes) * 1000) / this.rate)
  }

  private deliver(first: { parcel: Parcel }, piece: number): void {
    const { parcel } = first
    if (parcel._tag !== "Bytes") {
      this.parcels.shift()
      parcel.arrive()
      return
    }
    const { bytes } = parcel
    if (this.delivered === this.splitAt) this.parts.reached()
    if (piece < bytes.length) first.parcel = { _tag: "Bytes", bytes: bytes.subarray(piece) }
    else this.parcels.shift()
    this.size -= piece
    if (this.busy !== undefined) this.busy.bytes += piece
    this.delivered += piece
    if (this.receiver.isThere) this.framesLeft -= this.parts.recorder.arrived(this.parts.from, piece)
    this.receiver.take(bytes.subarray(0, piece))
    if (this.isAtCut) this.cut()
  }

  private wakeAt(at: number): void {
    if (this.wakesAt <= at) return
    this.wakesAt = at
    this.parts.sleep(at - this.parts.now(), () => {
      if (this.wakesAt === at) this.wakesAt = unlimited
      this.run()
    })
  }
}
