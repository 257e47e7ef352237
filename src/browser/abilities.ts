import type { Capabilities } from "../capabilities.js"

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
