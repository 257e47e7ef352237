import { serve } from "./lines.mjs"
import { commands } from "./web.mjs"

/** Node's own WebSocket, from `node --experimental-websocket`. */
serve(
  commands({
    make: ({ url, subprotocols, origin }) =>
      new WebSocket(url, { protocols: subprotocols, headers: origin === undefined ? {} : { origin } })
  })
)
