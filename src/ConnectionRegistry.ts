import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { broadcast } from "./broadcast.js"
import type { Connection, Message } from "./Connection.js"
import type { Source } from "./instruments.js"
import type { LiveConnection } from "./liveConnection.js"
import type * as Frame from "./protocol/Frame.js"
import { Roster } from "./roster.js"

/** A connection has come or gone. */
export type Change =
  | { readonly _tag: "Joined"; readonly connection: Connection }
  | { readonly _tag: "Left"; readonly connection: Connection }

/**
 * What happens to a connection that has `sendHighWaterMark` bytes waiting when a broadcast comes:
 * it is closed with 1013 (`TryAgainLater`), the broadcast waits for it, or it misses this message, or older ones.
 */
export type SlowPeerPolicy = "close" | "suspend" | "dropNewest" | "dropOldest"

export interface BroadcastOptions {
  /** `close` unless told otherwise: a peer that cannot keep up would fall behind without end. */
  readonly slowPeers?: SlowPeerPolicy | undefined
  /** Who gets the message: everybody unless told otherwise. */
  readonly to?: ((connection: Connection) => boolean) | undefined
  /** Whether it is compressed, for connections that have compression: from its threshold on unless told otherwise. RFC 7692 §6. */
  readonly compress?: boolean | undefined
}

export interface BroadcastReport {
  /** How many connections it was accepted for. */
  readonly sent: number
  /** Those that were too slow, or had closed before they could take it. */
  readonly missed: ReadonlyArray<Connection>
}

export interface Service {
  readonly size: Effect.Effect<number>
  readonly get: (id: number) => Effect.Effect<Option.Option<Connection>>
  /** In the order in which they came. */
  readonly connections: Effect.Effect<ReadonlyArray<Connection>>
  /** What comes and goes from now on; a subscriber that is more than 4,096 changes behind loses the oldest. */
  readonly changes: Stream.Stream<Change>
  /**
   * Sends a message to all open connections: encoded once, and compressed
   * once, for the smallest window that was agreed on; the same bytes for
   * everybody. Closed connections are skipped. Completes when every connection
   * has accepted it: at once, except that it waits for slow peers where
   * `slowPeers` is `suspend`, behind a message that is being sent in fragments
   * or compressed, and for its own compression above 32 KiB. Never fails.
   */
  readonly broadcast: (message: Message, options?: BroadcastOptions) => Effect.Effect<BroadcastReport>
  /** Closes all connections at the same time and waits for the end of their closing handshakes. */
  readonly closeAll: (close?: Partial<Frame.Close>) => Effect.Effect<void>
}

/** The live connections of one server. Entries enter and leave with the connection; its handlers and whoever runs beside them share it. */
export class ConnectionRegistry extends Context.Tag("effect-websockets/ConnectionRegistry")<
  ConnectionRegistry,
  Service
>() {}

/** How far a subscriber of `changes` may be behind. */
const CHANGES_KEPT = 4096

/** The registry as its server has it. */
export interface Registry {
  readonly service: Service
  readonly add: (connection: LiveConnection) => void
  readonly remove: (connection: LiveConnection) => void
  readonly each: Source
}

/** @internal */
export const unsafeMake = (): Registry => {
  const live = new Roster<LiveConnection>()
  /** Whether one of them has had extensions: then a broadcast looks for those who have. */
  let hasExtensions = false
  /** Made when somebody first looks one up. */
  let byId: Map<number, LiveConnection> | undefined
  const listeners = new Set<(change: Change) => void>()
  const tell = (change: Change): void => {
    for (const listener of listeners) listener(change)
  }
  const service: Service = {
    size: Effect.sync(() => live.size),
    get: (id) =>
      Effect.sync(() => {
        byId ??= new Map(live.all.map((connection) => [connection.id, connection]))
        return Option.fromNullable(byId.get(id))
      }),
    connections: Effect.sync(() => [...live.all].sort((one, other) => one.id - other.id)),
    changes: Stream.asyncPush<Change>(
      (emit) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const listener = (change: Change) => void emit.single(change)
            listeners.add(listener)
            return listener
          }),
          (listener) => Effect.sync(() => listeners.delete(listener))
        ),
      { bufferSize: CHANGES_KEPT, strategy: "sliding" }
    ),
    broadcast: (message, options = {}) => Effect.suspend(() => broadcast(live.all, hasExtensions, message, options)),
    closeAll: (close) =>
      Effect.suspend(() =>
        Effect.forEach(live.all, (connection) => connection.close(close), {
          concurrency: "unbounded",
          discard: true
        })
      )
  }
  return {
    service,
    add: (connection) => {
      live.add(connection)
      hasExtensions ||= connection.lifecycle.codecs.length > 0
      byId?.set(connection.id, connection)
      tell({ _tag: "Joined", connection })
    },
    remove: (connection) => {
      byId?.delete(connection.id)
      if (live.remove(connection)) tell({ _tag: "Left", connection })
    },
    each: (run) => {
      for (const { lifecycle } of live.all) run(lifecycle)
    }
  }
}
