/**
 * A client that stays: it prints what the server sends, and comes back when
 * the connection or the server is lost.
 *
 * The first attempt after a loss comes within 5 seconds, the next ones more
 * and more slowly, each a little at random, up to every 90 seconds. A server
 * that says 1000, or an answer as 404, ends the program: nothing would be
 * different the next time.
 *
 * Run it with `npx tsx examples/reconnecting-client.ts` while show-time.ts
 * runs, and stop and start that.
 */
import { fileURLToPath } from "node:url"
import { Console, DateTime, Effect, Layer, Stream } from "effect"
import { Connection, Reconnecting, WebSocketClient } from "effect-websockets"
import { NodeConnector, runMain } from "effect-websockets/node"

const print = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => Console.log(`< ${message}`))

const describe = (state: Reconnecting.State): string => {
  switch (state._tag) {
    case "Waiting":
      return `trying again at ${DateTime.formatIso(state.until)}, since ${String(state.because)}`
    case "Connecting":
      return `connecting, attempt ${state.attempt}`
    case "Connected":
    case "Idle":
    case "Stopped":
      return state._tag.toLowerCase()
  }
}

export const reconnectingClient = (uri: string, options?: Reconnecting.ReconnectOptions) =>
  Effect.gen(function* () {
    const state = yield* Reconnecting.makeState
    yield* Effect.fork(Stream.runForEach(state.changes, (now) => Effect.log(describe(now))))
    yield* Reconnecting.run(uri, print, { ...options, state })
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  reconnectingClient("ws://localhost:5678").pipe(
    Effect.provide(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))),
    runMain
  )
}
