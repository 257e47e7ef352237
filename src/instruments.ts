import * as Metric from "effect/Metric"
import type * as MetricHook from "effect/MetricHook"
import * as MetricKey from "effect/MetricKey"
import * as metricKeys from "./metricKeys.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Role } from "./protocol/Frame.js"
import { closureOf, type State } from "./protocol/Protocol.js"

/**
 * How connections come into Effect's metrics.
 *
 * Each counts its own messages and bytes. They are added up when a metric is
 * read: so they are exact then, a message costs nothing beside its connection's
 * own counters, and no timer runs for the case that somebody reads.
 */

/** What a connection counts. */
export interface Counted {
  readonly state: State
  readonly messagesReceived: number
  readonly bytesReceived: number
  /** What nobody has taken yet. */
  readonly inbox: { readonly count: number; readonly length: number }
  readonly outbox: {
    readonly messagesSent: number
    readonly bytesSent: number
    readonly bufferedAmount: () => number
  }
}

/** Calls back for each connection that is there. */
export type Source = (each: (connection: Counted) => void) => void

type Counter = MetricHook.MetricHook.Counter<number>

/** The sums of a role's connections: first what only grows, then what is there now. */
const sums = [
  "messagesReceived",
  "messagesSent",
  "bytesReceived",
  "bytesSent",
  "connections",
  "unreadMessages",
  "unreadBytes",
  "unsentBytes"
] as const

type Sum = (typeof sums)[number]

const growing: ReadonlySet<Sum> = new Set(sums.slice(0, 4))

const none = (): Record<Sum, number> => ({
  messagesReceived: 0,
  messagesSent: 0,
  bytesReceived: 0,
  bytesSent: 0,
  connections: 0,
  unreadMessages: 0,
  unreadBytes: 0,
  unsentBytes: 0
})

const addFlow = (total: Record<Sum, number>, { messagesReceived, bytesReceived, outbox }: Counted): void => {
  total.messagesReceived += messagesReceived
  total.messagesSent += outbox.messagesSent
  total.bytesReceived += bytesReceived
  total.bytesSent += outbox.bytesSent
}

const addDepth = (total: Record<Sum, number>, { inbox, outbox }: Counted): void => {
  total.connections++
  total.unreadMessages += inbox.count
  total.unreadBytes += inbox.length
  total.unsentBytes += outbox.bufferedAmount()
}

/** The snapshot that is being taken; none where metrics are read one by one, between which anything may happen. */
let snapshot: object | undefined

let areSnapshotsWatched = false

/** Has every snapshot of Effect's metrics say so while it is taken. */
const watchSnapshots = (): void => {
  if (areSnapshotsWatched) return
  areSnapshotsWatched = true
  const registry = Metric.globalMetricRegistry
  const take = registry.snapshot.bind(registry)
  registry.snapshot = () => {
    snapshot = {}
    try {
      return take()
    } finally {
      snapshot = undefined
    }
  }
}

/** What is counted for one role, under one set of further labels. */
export class Instruments {
  private readonly role: Role
  private readonly extra: metricKeys.Labels
  private readonly sources = new Set<Source>()
  /** What connections that are over have counted. */
  private readonly past = none()
  /** What the metrics have been told. */
  private readonly told = none()
  /** The snapshot for which connections were added up last. */
  private latest: object | undefined
  /** By label, made when there is something to count. */
  private readonly counters = new Map<string, Counter>()
  private readonly tell: Readonly<Record<Sum, (by: number) => void>>
  /** Hears of each ping of ours that was answered, in milliseconds. */
  readonly onRoundTrip: (milliseconds: number) => void

  constructor(role: Role, extra: metricKeys.Labels) {
    watchSnapshots()
    this.role = role
    this.extra = extra
    const received = metricKeys.flowLabels(role, "received")
    const sent = metricKeys.flowLabels(role, "sent")
    const own = metricKeys.roleLabels(role)
    this.tell = {
      messagesReceived: this.counter(metricKeys.keys.messages, received),
      messagesSent: this.counter(metricKeys.keys.messages, sent),
      bytesReceived: this.counter(metricKeys.keys.bytes, received),
      bytesSent: this.counter(metricKeys.keys.bytes, sent),
      connections: this.gauge(metricKeys.keys.connections, own),
      unreadMessages: this.gauge(metricKeys.keys.unreadMessages, own),
      unreadBytes: this.gauge(metricKeys.keys.unreadBytes, own),
      unsentBytes: this.gauge(metricKeys.keys.unsentBytes, own)
    }
    const pings = Metric.globalMetricRegistry.getHistogram(
      MetricKey.taggedWithLabels(metricKeys.keys.pings, this.labelled(own))
    )
    this.onRoundTrip = (milliseconds) => pings.update(milliseconds / 1_000)
  }

  private labelled(labels: metricKeys.Labels): metricKeys.Labels {
    return [...labels, ...this.extra]
  }

  private counter(key: MetricKey.MetricKey.Counter<number>, labels: metricKeys.Labels) {
    const hook = Metric.globalMetricRegistry.getCounter(MetricKey.taggedWithLabels(key, this.labelled(labels)))
    this.observe(hook)
    return hook.update
  }

  private gauge(key: MetricKey.MetricKey.Gauge<number>, labels: metricKeys.Labels) {
    const hook = Metric.globalMetricRegistry.getGauge(MetricKey.taggedWithLabels(key, this.labelled(labels)))
    this.observe(hook)
    return hook.modify
  }

  /**
   * Has a metric look here whenever it is read, as Effect has no metric that asks. What it has is only added to, so that
   * another copy of this library may do the same beside.
   */
  private observe<Out>(hook: { get: () => Out }): void {
    const { get } = hook
    hook.get = () => {
      this.read()
      return get()
    }
  }

  /** A snapshot reads all metrics in one go, and then the connections are added up once. */
  private read(): void {
    if (snapshot !== undefined && this.latest === snapshot) return
    this.latest = snapshot
    const total = { ...this.past }
    for (const source of this.sources) {
      source((connection) => {
        addFlow(total, connection)
        addDepth(total, connection)
      })
    }
    for (const each of sums) {
      const by = total[each] - this.told[each]
      // A message that was taken back counts until another has taken its place, as a counter cannot go back.
      if (by > 0 || !growing.has(each)) {
        this.told[each] += by
        this.tell[each](by)
      }
    }
  }

  /** From now on these connections count, until that is taken back. */
  watch(source: Source): () => void {
    this.sources.add(source)
    return () => this.sources.delete(source)
  }

  /** Counts a connection that is its own source, until it is over. */
  alone(connection: Counted & { readonly onClosed: (run: () => void) => () => void }): void {
    const leave = this.watch((each) => each(connection))
    connection.onClosed(() => {
      leave()
      this.closed(connection)
    })
  }

  /** A connection is over, and no source has it any more. */
  closed(connection: Counted): void {
    addFlow(this.past, connection)
    const { received, sent } = closureOf(connection.state)
    this.close("received", received?.code)
    this.close("sent", sent?.code)
  }

  private close(direction: metricKeys.Direction, code: number = CloseCode.AbnormalClosure): void {
    const name = metricKeys.codeLabel(code)
    this.count(metricKeys.keys.closes, `${direction} ${name}`, () => metricKeys.closeLabels(this.role, direction, name))
  }

  /** An opening handshake has ended. */
  handshake(outcome: metricKeys.Outcome, status?: number): void {
    const name = status === undefined ? undefined : metricKeys.statusLabel(status)
    this.count(metricKeys.keys.handshakes, `${outcome} ${name}`, () =>
      metricKeys.handshakeLabels(this.role, outcome, name)
    )
  }

  private count(key: MetricKey.MetricKey.Counter<number>, name: string, labels: () => metricKeys.Labels): void {
    let counter = this.counters.get(name)
    if (counter === undefined) {
      counter = Metric.globalMetricRegistry.getCounter(MetricKey.taggedWithLabels(key, this.labelled(labels())))
      this.counters.set(name, counter)
    }
    counter.update(1)
  }
}

const all = new Map<string, Instruments>()

/** Those of a role and of these labels: one set for all servers, or clients, that have the same. */
export const instrumentsOf = (role: Role, labels: metricKeys.Labels): Instruments => {
  const name = [role, ...labels.map(({ key, value }) => JSON.stringify([key, value]))].join(" ")
  let instruments = all.get(name)
  if (instruments === undefined) {
    instruments = new Instruments(role, labels)
    all.set(name, instruments)
  }
  return instruments
}
