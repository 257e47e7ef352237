import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { BrowserWebSocket } from "effect-websockets/browser"
import { WebSocket } from "undici"
import { contract } from "./contract.js"
import { play } from "./scenarios.js"

/** The package undici's WebSocket, given to the layer; without a bundle. */
describe("undici's WebSocket", () => {
  const layer = BrowserWebSocket.layer({ webSocket: WebSocket })
  contract({
    program: "",
    start: () => Effect.succeed((name, uri) => Effect.provide(play(name, uri), layer))
  })
})
