import * as Metric from "effect/Metric"
import * as MetricKey from "effect/MetricKey"
import {
  closeLabels,
  codeLabel,
  type Direction,
  flowLabels,
  handshakeLabels,
  keys,
  type Labels,
  type Outcome,
  roleLabels,
  statusLabel
} from "./metricKeys.js"
import type { Role } from "./protocol/Frame.js"

/**
 * What servers and clients count, as Effect's metrics: in `Metric.snapshot`,
 * in whatever an exporter sends, and one by one here. Each has the label
 * `role`, and those that its server or client was given by `Effect.tagMetrics`.
 *
 * They are exact whenever they are read, as a connection's own counters are
 * added up then, and only then: a message costs nothing more, and a server
 * whose metrics nobody reads does nothing for them.
 */

export type { Direction, Outcome } from "./metricKeys.js"
export type { Role } from "./protocol/Frame.js"

const counter = (key: MetricKey.MetricKey.Counter<number>, all: Labels): Metric.Metric.Counter<number> =>
  Metric.fromMetricKey(MetricKey.taggedWithLabels(key, all))

const gauge = (key: MetricKey.MetricKey.Gauge<number>, all: Labels): Metric.Metric.Gauge<number> =>
  Metric.fromMetricKey(MetricKey.taggedWithLabels(key, all))

/** Connections that are there, those included that are closing: `websocket_connections`. */
export const connections = (role: Role): Metric.Metric.Gauge<number> => gauge(keys.connections, roleLabels(role))

/**
 * Opening handshakes that ended so: `websocket_handshakes_total`. Requests for
 * anything else are none. The label `status` has the answer's, where there was
 * one: rare ones by their class, as `5xx`.
 */
export const handshakes = (role: Role, outcome: Outcome, status?: number): Metric.Metric.Counter<number> =>
  counter(keys.handshakes, handshakeLabels(role, outcome, status === undefined ? undefined : statusLabel(status)))

/** Messages: `websocket_messages_total`. One that was sent has been accepted by `send`; one in parts counts with its last. */
export const messages = (role: Role, direction: Direction): Metric.Metric.Counter<number> =>
  counter(keys.messages, flowLabels(role, direction))

/** Bytes of frames with their headers, as on the wire: `websocket_bytes_total`. In a browser, of messages alone. */
export const bytes = (role: Role, direction: Direction): Metric.Metric.Counter<number> =>
  counter(keys.bytes, flowLabels(role, direction))

/**
 * Close codes of connections that are over: `websocket_close_codes_total`, one
 * for each direction. 1006 (`AbnormalClosure`) is a close frame that there was
 * not; codes from 3000 on count as `3000-3999` and `4000-4999`.
 */
export const closeCodes = (role: Role, direction: Direction, code: number): Metric.Metric.Counter<number> =>
  counter(keys.closes, closeLabels(role, direction, codeLabel(code)))

/** Messages received that nobody has taken yet, of all connections: `websocket_unread_messages`. */
export const unreadMessages = (role: Role): Metric.Metric.Gauge<number> => gauge(keys.unreadMessages, roleLabels(role))

/** Their length, of bytes in bytes and of text in UTF-16 units: `websocket_unread_bytes`. */
export const unreadBytes = (role: Role): Metric.Metric.Gauge<number> => gauge(keys.unreadBytes, roleLabels(role))

/** Bytes sent that have not left the process yet, of all connections: `websocket_unsent_bytes`. */
export const unsentBytes = (role: Role): Metric.Metric.Gauge<number> => gauge(keys.unsentBytes, roleLabels(role))

/** Round-trip times of pings in seconds, also of those that keep connections alive: the histogram `websocket_ping_seconds`. */
export const pings = (role: Role): Metric.Metric.Histogram<number> =>
  Metric.fromMetricKey(MetricKey.taggedWithLabels(keys.pings, roleLabels(role)))
