import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Role } from "./protocol/Frame.js"

/** What metrics are called, and their labels: of few values, whatever peers do. */

export type Direction = "received" | "sent"

/**
 * How an opening handshake ended: with a connection; with another answer, or
 * for a client one that does not fit; not within `openTimeout`; because the
 * peer left, or a client's fiber was interrupted; or with no answer at all,
 * as where a client cannot reach its server.
 */
export type Outcome = "accepted" | "rejected" | "timeout" | "aborted" | "failed"

const counter = (name: string, description: string) => MetricKey.counter(name, { description, incremental: true })

const gauge = (name: string, description: string) => MetricKey.gauge(name, { description })

export const keys = {
  connections: gauge("websocket_connections", "Connections that are there"),
  handshakes: counter("websocket_handshakes_total", "Opening handshakes by how they ended"),
  messages: counter("websocket_messages_total", "Messages received and sent"),
  bytes: counter("websocket_bytes_total", "Bytes of frames received and sent"),
  closes: counter(
    "websocket_close_codes_total",
    "Close codes received and sent, 1006 where a connection ended without that close frame"
  ),
  unreadMessages: gauge("websocket_unread_messages", "Messages received that nobody has taken yet"),
  unreadBytes: gauge("websocket_unread_bytes", "Their length: of bytes in bytes, of text in UTF-16 units"),
  unsentBytes: gauge("websocket_unsent_bytes", "Bytes sent that have not left the process yet"),
  pings: MetricKey.histogram(
    "websocket_ping_seconds",
    MetricBoundaries.fromIterable([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]),
    "Round-trip times of pings, also of those that keep connections alive"
  )
} as const

export type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** Labels as they stand in a metric: those that are undefined in none. */
const labels = (all: Readonly<Record<string, string | undefined>>): Labels =>
  Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [MetricLabel.make(name, value)]))

export const roleLabels = (role: Role): Labels => labels({ role })

export const flowLabels = (role: Role, direction: Direction): Labels => labels({ role, direction })

/** The statuses that a metric tells apart; others count by their class, so that a peer has no say in how many labels there are. */
const statuses: ReadonlySet<number> = new Set([
  101, 200, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 426, 429, 431, 500, 502,
  503, 504
])

export const statusLabel = (status: number): string => {
  if (statuses.has(status)) return String(status)
  return status >= 100 && status < 600 ? `${Math.trunc(status / 100)}xx` : "other"
}

export const handshakeLabels = (role: Role, outcome: Outcome, status: string | undefined): Labels =>
  labels({ role, outcome, status })

/** A code as the label has it: that of RFC 6455 and IANA by itself, others, of which a peer has thousands, by their range. */
export const codeLabel = (code: number): string => {
  switch (CloseCode.name(code)) {
    case "Registered":
      return "3000-3999"
    case "PrivateUse":
      return "4000-4999"
    case "Unassigned":
      return "other"
    default:
      return String(code)
  }
}

export const closeLabels = (role: Role, direction: Direction, code: string): Labels => labels({ role, direction, code })
