import { Effect } from "effect"
import { BrowserWebSocket } from "effect-websockets/browser"
import { play } from "./scenarios.js"

/** What is bundled: plays a scenario with the runtime's own WebSocket. */
export const run = (name: string, uri: string): Promise<unknown> =>
  Effect.runPromise(Effect.provide(play(name, uri), BrowserWebSocket.layer()))
