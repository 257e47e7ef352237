import { describe } from "@effect/vitest"
import { Effect } from "effect"
import { BrowserWebSocket } from "effect-websockets/browser"
import { WebSocket as Undici } from "undici"
import { WebSocket as Ws } from "ws"
import { contract } from "./contract.js"
import { play } from "./scenarios.js"

/** WebSockets of packages, given to the layer; without a bundle. */

const packages: Readonly<Record<string, BrowserWebSocket.WebSocketConstructor>> = { undici: Undici, ws: Ws }

for (const [name, webSocket] of Object.entries(packages)) {
  describe(`${name}'s WebSocket`, () => {
    const layer = BrowserWebSocket.layer({ webSocket })
    contract({
      program: "",
      start: () => Effect.succeed((scenario, uri) => Effect.provide(play(scenario, uri), layer))
    })
  })
}
