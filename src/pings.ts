import { PerSecond } from "./perSecond.js"

/** Our pings that have no pong yet, and how many the peer sends. RFC 6455 §5.5.2, §5.5.3. */

interface Ping {
  readonly payload: number
  readonly sentAt: number
  /** Called with the round-trip time in milliseconds, or without when the connection has ended. */
  readonly done: ((elapsed: number | undefined) => void) | undefined
}

const SIZE = 4

export class Pings {
  private waiting: ReadonlyArray<Ping> = []
  private readonly payloads: () => number
  private readonly received: PerSecond
  private readonly onRoundTrip: (milliseconds: number) => void
  /** The latest measured round-trip time, in milliseconds. */
  latency: number | undefined

  constructor(payloads: () => number, maxPerSecond: number, onRoundTrip: (milliseconds: number) => void) {
    this.payloads = payloads
    this.received = new PerSecond(maxPerSecond)
    this.onRoundTrip = onRoundTrip
  }

  /** The payload of a ping that is sent now; `done` hears of its pong. */
  begin(now: number, done: Ping["done"]): Uint8Array {
    const payload = this.payloads() >>> 0
    const bytes = new Uint8Array(SIZE)
    new DataView(bytes.buffer).setUint32(0, payload)
    // A peer that talks without ever answering pings must not make the list of them grow.
    const others = done === undefined ? this.waiting.filter((ping) => ping.done !== undefined) : this.waiting
    this.waiting = [...others, { payload, sentAt: now, done }]
    return bytes
  }

  /** A pong answers the ping of the same payload and those before it; any other means nothing. §5.5.3. */
  answer(payload: Uint8Array, now: number): void {
    if (payload.length !== SIZE) return
    const key = new DataView(payload.buffer, payload.byteOffset, SIZE).getUint32(0)
    const index = this.waiting.findIndex((ping) => ping.payload === key)
    if (index < 0) return
    const answered = this.waiting.slice(0, index + 1)
    this.waiting = this.waiting.slice(index + 1)
    for (const { sentAt, done } of answered) {
      this.latency = now - sentAt
      done?.(now - sentAt)
    }
    // Of the last alone: the peer may have left out those before it, and then answered none of them late.
    if (this.latency !== undefined) this.onRoundTrip(this.latency)
  }

  /** Nobody waits for that pong any more, and a peer that never sends it must not make the list grow. */
  forget(done: Ping["done"]): void {
    this.waiting = this.waiting.filter((ping) => ping.done !== done)
  }

  /** Counts a ping of the peer's; false when there are too many within a second. */
  admit(now: number): boolean {
    return this.received.admit(1, now)
  }

  /** Nothing was read for so many milliseconds, and what the peer has sent meanwhile comes at once. */
  waited(milliseconds: number): void {
    this.received.waited(milliseconds)
  }

  /** No pong comes any more. */
  end(): void {
    const all = this.waiting
    this.waiting = []
    for (const { done } of all) done?.(undefined)
  }
}
