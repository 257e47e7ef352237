/**
 * A client that connects, asks for a name and prints the greeting it gets.
 *
 * The connection lives as long as its scope. Leaving it closes the connection
 * with 1000, also when nobody answers the question and the program fails.
 *
 * Run it with `npx tsx examples/hello-client.ts` while hello-server.ts runs.
 */
import { fileURLToPath } from "node:url"
import { Console, Effect, Layer } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, runMain } from "effect-websockets/node"
import { ask } from "./ask.js"

/** Who asks for the name is an argument, so that a test needs no terminal. */
export const helloClient = <E, R>(uri: string, name: Effect.Effect<string, E, R>) =>
  Effect.gen(function* () {
    const connection = yield* WebSocketClient.connect(uri)
    yield* connection.send(yield* name)
    const greeting = yield* connection.receiveText
    yield* Console.log(greeting)
    return greeting
  }).pipe(Effect.scoped)

export const name = ask("What's your name? ")

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  helloClient("ws://localhost:8765", name).pipe(
    Effect.provide(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))),
    runMain
  )
}
