import { PerSecond } from "./perSecond.js"
import type { Piece } from "./protocol/assembly.js"
import type * as Frame from "./protocol/Frame.js"
import type { Receiver } from "./protocol/FrameDecoder.js"
import type { Sink } from "./Transport.js"
import type { TransportError } from "./TransportError.js"

/**
 * How much a peer sends within a second. It stands before a connection that
 * has such limits, and only then: without them nothing is counted.
 */

export interface Rates {
  readonly maxMessagesPerSecond: number
  readonly maxBytesPerSecond: number
}

/** Who gets what is let through, and is told when it is too much. */
export interface Metered extends Sink, Required<Receiver> {
  readonly refuse: (reason: string) => void
}

export class Meter implements Sink, Receiver {
  private readonly next: Metered
  private readonly clock: { readonly now: () => number }
  private readonly rates: Rates
  private readonly messages: PerSecond
  private readonly bytes: PerSecond
  /** Milliseconds of the Clock, at the latest chunk. */
  private now = 0
  /** There was too much: what comes after it reaches nobody. */
  private isOver = false

  constructor(next: Metered, clock: { readonly now: () => number }, rates: Rates) {
    this.next = next
    this.clock = clock
    this.rates = rates
    this.messages = new PerSecond(rates.maxMessagesPerSecond)
    this.bytes = new PerSecond(rates.maxBytesPerSecond)
  }

  /** Nothing was read for so many milliseconds: what the peer has sent meanwhile comes now, and is not too much for that. */
  waited(milliseconds: number): void {
    this.messages.waited(milliseconds)
    this.bytes.waited(milliseconds)
  }

  private exceed(name: keyof Rates, what: string): void {
    if (this.isOver) return
    this.isOver = true
    this.next.refuse(`more than ${name} (${this.rates[name]}) ${what} in a second`)
  }

  private admitMessage(): boolean {
    if (!this.messages.admit(1, this.now)) this.exceed("maxMessagesPerSecond", "messages")
    return !this.isOver
  }

  data(bytes: Uint8Array): void {
    this.now = this.clock.now()
    if (!this.bytes.admit(bytes.length, this.now)) this.exceed("maxBytesPerSecond", "bytes")
    // Also beyond the limit, since the answer to our close frame is in there.
    this.next.data(bytes)
  }

  message(message: string | Uint8Array): void {
    if (this.admitMessage()) this.next.message(message)
  }

  fragment(fragment: Piece): void {
    // A message counts when it is complete, in parts too.
    if (fragment.final ? this.admitMessage() : !this.isOver) this.next.fragment(fragment)
  }

  ping(payload: Uint8Array): void {
    this.next.ping(payload)
  }

  pong(payload: Uint8Array): void {
    this.next.pong(payload)
  }

  close(close: Frame.Close): void {
    this.next.close(close)
  }

  decoded(): void {
    this.now = this.clock.now()
    this.next.decoded()
  }

  end(): void {
    this.next.end()
  }

  drain(): void {
    this.next.drain()
  }

  closed(error: TransportError | undefined): void {
    this.next.closed(error)
  }
}

/** What stands before a connection: a meter where it is limited, and otherwise nothing. */
export const meterOf = (next: Metered, clock: { readonly now: () => number }, rates: Rates): Meter | undefined =>
  Number.isFinite(rates.maxMessagesPerSecond) || Number.isFinite(rates.maxBytesPerSecond)
    ? new Meter(next, clock, rates)
    : undefined
