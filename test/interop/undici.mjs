import { subscribe } from "node:diagnostics_channel"
import { Agent, ping, WebSocket } from "undici"
import { pem, serve } from "./lines.mjs"
import { commands } from "./web.mjs"

/** The WebSocket of the package undici, which can also ping. */

const dispatcher = new Agent({ connect: { ca: pem("ca") } })

const pongs = new Map()
subscribe("undici:websocket:pong", ({ websocket }) => pongs.get(websocket)?.())

serve(
  commands({
    make: ({ url, subprotocols, origin }) =>
      new WebSocket(url, { protocols: subprotocols, dispatcher, headers: origin === undefined ? {} : { origin } }),
    ping: (socket) =>
      new Promise((resolve) => {
        pongs.set(socket, resolve)
        ping(socket, Buffer.from("undici"))
      })
  })
)
