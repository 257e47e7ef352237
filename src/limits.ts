import type { Deadlines, Entry } from "./deadlines.js"
import type { LiveConnection } from "./liveConnection.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { type Rejection, rejection } from "./protocol/Handshake.js"
import type { Address } from "./Transport.js"

/** How many connections a server has at a time, how many of them with the same peer, and for how long. */

export interface Limits {
  readonly maxConnections: number
  readonly maxConnectionsPerKey: number
  /** Milliseconds. */
  readonly maxLifetime: number
}

/** After so many seconds a peer that was refused may try again. */
const retryAfter = ["Retry-After", "5"] as const

const full = rejection(503, "The server has as many connections as it takes. Try again later.", retryAfter)
const tooMany = rejection(
  429,
  "You have as many connections as one may have. Close one, or try again later.",
  retryAfter
)

export class Admission {
  private readonly limits: Limits
  private readonly deadlines: Deadlines
  private total = 0
  private readonly byKey = new Map<string, number>()

  constructor(limits: Limits, deadlines: Deadlines) {
    this.limits = limits
    this.deadlines = deadlines
  }

  /** Whose connection a peer's is, where that is asked. */
  keyOf(address: Address | undefined): string | undefined {
    return Number.isFinite(this.limits.maxConnectionsPerKey) ? keyOf(address) : undefined
  }

  /** Why there is no place for one more connection, of whom it is if that is known. */
  refusal(key: string | undefined): Rejection | undefined {
    const { maxConnections, maxConnectionsPerKey } = this.limits
    if (this.total >= maxConnections) return full
    return key !== undefined && (this.byKey.get(key) ?? 0) >= maxConnectionsPerKey ? tooMany : undefined
  }

  /** Counts a connection until it is over, which it is when its time is up. */
  enter({ lifecycle }: LiveConnection, key: string | undefined): void {
    const { maxConnections, maxLifetime } = this.limits
    if (Number.isFinite(maxConnections) || key !== undefined) {
      this.total++
      if (key !== undefined) this.byKey.set(key, (this.byKey.get(key) ?? 0) + 1)
      lifecycle.onClosed(() => this.leave(key))
    }
    if (!Number.isFinite(maxLifetime)) return
    const close = { code: CloseCode.GoingAway, reason: "the connection has reached its maxLifetime" }
    const entry: Entry = { dueAt: 0, place: -1, fire: () => lifecycle.startClose(close) }
    this.deadlines.set(entry, this.deadlines.now() + maxLifetime)
    lifecycle.onClosed(() => this.deadlines.remove(entry))
  }

  private leave(key: string | undefined): void {
    this.total--
    if (key === undefined) return
    const left = (this.byKey.get(key) ?? 1) - 1
    if (left > 0) this.byKey.set(key, left)
    else this.byKey.delete(key)
  }
}

/**
 * Whose connection it is, by its address: that of IPv4, or the first half of
 * one of IPv6, since a single host has the other half to itself. A peer on a
 * Unix socket has none, and is not counted.
 */
export const keyOf = (address: Address | undefined): string | undefined => {
  if (address?._tag !== "TcpAddress") return undefined
  const { hostname } = address
  if (!hostname.includes(":")) return hostname
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(hostname)?.[1]
  if (mapped !== undefined) return mapped
  const [head = "", tail] = hostname.toLowerCase().split("::", 2)
  const groups = (text: string | undefined) => (text === undefined || text === "" ? [] : text.split(":"))
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups(head).length - groups(tail).length)
  const all = [...groups(head), ...Array.from({ length: zeros }, () => "0"), ...groups(tail)]
  return all.slice(0, 4).join(":")
}
