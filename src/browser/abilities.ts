import type { Capabilities } from "../capabilities.js"
import { Unsupported } from "../Unsupported.js"

/** What a program can do with a WebSocket of a browser's beyond messages and the closing handshake. */
export const abilities: Capabilities = {
  ping: false,
  headers: false,
  extensions: false,
  redirects: false,
  refusals: false,
  fragments: false,
  pauseReading: false,
  closeCodes: false,
  cut: false
}

export const noPings = new Unsupported({
  operation: "ping",
  problem: "a browser lets no program send pings or pongs. Send a message of your own, and wait for its answer."
})
