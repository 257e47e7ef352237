import { Effect } from "effect"
import { WebSocketClient } from "effect-websockets"
import { BrowserWebSocket } from "effect-websockets/browser"

/** Any program that asks for a `WebSocketClient`: nothing in it knows of browsers. */
const greeting = (uri: string, name: string) =>
  Effect.gen(function* () {
    const connection = yield* WebSocketClient.connect(uri)
    yield* connection.send(name)
    return yield* connection.receiveText
  }).pipe(Effect.scoped)

greeting(`ws://${location.host}/`, "World").pipe(
  Effect.catchAll((error) => Effect.succeed(error.message)),
  Effect.andThen((text) => document.body.append(text)),
  Effect.provide(BrowserWebSocket.layer()),
  Effect.runFork
)
