import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { joinedBytes } from "../joinedBytes.js"
import { macrotask } from "../macrotask.js"
import { allocate } from "../protocol/native.js"
import { positive } from "../settings.js"
import type { Address, ByteStream, Sink, WriteResult } from "../Transport.js"
import { TransportError } from "../TransportError.js"

/**
 * Two streams of bytes that are each other's ends, without a network: what one
 * writes the other reads, in order, a microtask later, unless a fault is set.
 */

/** What travels from one end to the other. */
type Parcel =
  | { readonly _tag: "Bytes"; readonly bytes: Uint8Array }
  | { readonly _tag: "End" }
  /** Something that is said as a value: a request or a response. */
  | { readonly _tag: "Value"; readonly arrive: () => void }

/** As much as a system's socket buffer: above it a writer is told to wait. */
const CAPACITY = 65_536

/** One by one, microtasks would keep timers and other input waiting for as long as two ends talk. */
const MICROTASKS_IN_A_ROW = 256
let inARow = 0
const soon = (run: () => void): void => {
  inARow++
  if (inARow < MICROTASKS_IN_A_ROW) queueMicrotask(run)
  else {
    inARow = 0
    macrotask(run)
  }
}

/** The faults of a wire, the same in both directions. */
export interface Faults {
  stalled: boolean
  /** Milliseconds of the Clock. */
  delay: number
  /** Bytes that arrive at a time. */
  split: number
}

interface Context {
  readonly faults: Faults
  readonly sleep: (milliseconds: number, then: () => void) => void
}

/** One way: what has been written and has not arrived. */
class Direction {
  private readonly parcels: Array<Parcel> = []
  /** How many of them have been on their way for long enough. */
  private ripe = 0
  private size = 0
  private isRunning = false
  private readonly context: Context
  /** All bytes that were ever written. */
  readonly log: Array<Uint8Array> = []
  receiver!: End
  writer!: End

  constructor(context: Context) {
    this.context = context
  }

  get bufferedAmount(): number {
    return this.size
  }

  get isFull(): boolean {
    return this.size > CAPACITY
  }

  put(parcel: Parcel): void {
    this.parcels.push(parcel)
    if (parcel._tag === "Bytes") {
      this.size += parcel.bytes.length
      this.log.push(parcel.bytes)
    }
    const { faults, sleep } = this.context
    if (faults.delay > 0) sleep(faults.delay, () => this.ripen())
    else this.ripen()
  }

  private ripen(): void {
    this.ripe++
    this.run()
  }

  /** What is on its way is lost. */
  drop(): void {
    this.parcels.length = 0
    this.size = 0
  }

  run(): void {
    if (this.isRunning || this.ripe === 0) return
    this.isRunning = true
    soon(() => {
      this.isRunning = false
      this.deliverAll()
    })
  }

  private deliverAll(): void {
    const { faults } = this.context
    while (this.ripe > 0 && !faults.stalled) {
      const parcel = this.parcels[0]
      if (parcel === undefined || !this.receiver.accepts(parcel)) break
      if (parcel._tag === "Bytes" && parcel.bytes.length > faults.split) {
        const { bytes } = parcel
        this.parcels[0] = { _tag: "Bytes", bytes: bytes.subarray(faults.split) }
        this.deliver({ _tag: "Bytes", bytes: bytes.subarray(0, faults.split) })
      } else {
        this.parcels.shift()
        this.ripe--
        this.deliver(parcel)
      }
    }
    if (this.size === 0) this.writer.drained()
  }

  private deliver(parcel: Parcel): void {
    if (parcel._tag === "Bytes") this.size -= parcel.bytes.length
    this.receiver.take(parcel)
  }
}

/** One end of a wire. */
export class End implements ByteStream {
  wire!: Wire
  private readonly outgoing: Direction
  private readonly incoming: Direction
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

  constructor(outgoing: Direction, incoming: Direction, address: Address, peerAddress: Address) {
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
    this.outgoing.put({ _tag: "Bytes", bytes: copy })
    if (!this.outgoing.isFull) return "sent"
    this.awaitsDrain = true
    return "full"
  }

  /** Says something to the other end that is no bytes. */
  say(arrive: () => void): void {
    if (!this.isGone) this.outgoing.put({ _tag: "Value", arrive })
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
    this.outgoing.put({ _tag: "End" })
    this.closeIfDone()
  }

  destroy(): void {
    if (this.isGone) return
    // As a system does it: what was written still goes, and then the end; what comes is met by a reset.
    if (!this.hasEnded) this.outgoing.put({ _tag: "End" })
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

  /** Whether a parcel can be had now; bytes wait for somebody who reads. */
  accepts(parcel: Parcel): boolean {
    return this.isGone || parcel._tag !== "Bytes" || (this.sink !== undefined && !this.isPaused)
  }

  take(parcel: Parcel): void {
    switch (parcel._tag) {
      case "Value":
        parcel.arrive()
        return
      case "End":
        this.peerHasEnded = true
        if (this.isGone) return
        for (const run of this.whenEnded.splice(0)) run()
        this.sink?.end()
        this.closeIfDone()
        return
      case "Bytes":
        if (this.isGone) this.resetPeer()
        else this.sink!.data(parcel.bytes.slice())
        return
    }
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

/** A wire between a client and a server, and what can be done to it. */
export interface Wire {
  /** Ends both ends as a reset does; what is on its way is lost. */
  readonly cut: Effect.Effect<void>
  /** From now on nothing arrives at either end, until it flows again. */
  readonly stall: Effect.Effect<void>
  /** Takes `stall` back. */
  readonly flow: Effect.Effect<void>
  /** From now on everything takes so long, by the Clock. */
  readonly delay: (by: Duration.DurationInput) => Effect.Effect<void>
  /** From now on at most so many bytes arrive at a time. */
  readonly split: (size: number) => Effect.Effect<void>
  /** Everything that the client has written so far, in one piece. */
  readonly sentByClient: Effect.Effect<Uint8Array>
  /** Everything that the server has written so far, in one piece. */
  readonly sentByServer: Effect.Effect<Uint8Array>
}

export interface Ends {
  readonly client: End
  readonly server: End
  readonly wire: Wire
}

let lastPort = 0

/** A wire with these faults, which time by the current Clock. */
export const makeEnds = (initial: Partial<Faults> = {}): Effect.Effect<Ends> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Clock.clockWith(Effect.succeed)
    const faults: Faults = { stalled: false, delay: 0, split: Number.POSITIVE_INFINITY, ...initial }
    const context: Context = {
      faults,
      sleep: (milliseconds, then) => {
        Runtime.runFork(
          Runtime.make({ ...runtime, runtimeFlags: Runtime.defaultRuntimeFlags }),
          Effect.zipRight(clock.sleep(Duration.millis(milliseconds)), Effect.sync(then))
        )
      }
    }
    const toServer = new Direction(context)
    const toClient = new Direction(context)
    const clientAddress: Address = { _tag: "TcpAddress", hostname: "memory", port: ++lastPort }
    const serverAddress: Address = { _tag: "TcpAddress", hostname: "memory", port: 80 }
    const client = new End(toServer, toClient, clientAddress, serverAddress)
    const server = new End(toClient, toServer, serverAddress, clientAddress)
    const error = () =>
      new TransportError({
        operation: "stream",
        peer: "memory",
        code: "ECONNRESET",
        cause: new Error("the wire was cut")
      })
    const change = (set: () => void) =>
      Effect.sync(() => {
        set()
        toServer.run()
        toClient.run()
      })
    const wire: Wire = {
      cut: Effect.sync(() => {
        client.cut(error())
        server.cut(error())
      }),
      stall: change(() => {
        faults.stalled = true
      }),
      flow: change(() => {
        faults.stalled = false
      }),
      delay: (by) =>
        change(() => {
          faults.delay = Duration.toMillis(by)
        }),
      split: (size) =>
        change(() => {
          faults.split = positive("split", size)
        }),
      sentByClient: Effect.sync(() => joinedBytes(toServer.log)),
      sentByServer: Effect.sync(() => joinedBytes(toClient.log))
    }
    client.wire = wire
    server.wire = wire
    return { client, server, wire }
  })
