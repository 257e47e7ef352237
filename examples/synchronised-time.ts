/**
 * Shows the time in a browser: all tabs at the same pace.
 *
 * One fiber sends each tick to whoever is connected, through the server's
 * registry. Who comes later gets the next tick; a handler has nothing to do
 * but wait for its connection's end.
 *
 * Run it with `npx tsx examples/synchronised-time.ts`, open http://localhost:5678/ in several tabs.
 */
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { type Connection, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { now, pause, servePage } from "./show-time.js"

/** Reads and drops what a tab sends, until it goes away. */
export const stay = (connection: Connection.Connection) => connection.closed

export const ticks = Effect.gen(function* () {
  const registry = yield* ConnectionRegistry.ConnectionRegistry
  for (;;) {
    yield* registry.broadcast(yield* now)
    yield* pause
  }
})

/** A layer of its own: it starts behind the server and ends before it. */
export const Ticks = Layer.scopedDiscard(Effect.forkScoped(ticks))

export const synchronisedTimeServer = (options: { readonly port: number }) =>
  Ticks.pipe(
    Layer.provideMerge(
      Layer.unwrapEffect(Effect.map(servePage("show-time.html"), (page) => WebSocketServer.layer(stay, page)))
    ),
    Layer.provide(NodeListener.layer({ host: "localhost", ...options }))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(synchronisedTimeServer({ port: 5678 })).pipe(runMain)
}
