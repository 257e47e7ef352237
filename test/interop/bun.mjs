import { choose, pem, serve } from "./lines.mjs"
import { commands } from "./web.mjs"

/** Bun's WebSocket, which can also ping, and its server, which calls functions instead of a socket's handlers. */

const pongs = new Map()

const start = (tls) => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls,
    fetch: (request) => {
      const url = new URL(request.url)
      if (url.pathname === "/refused") return new Response("no", { status: 403 })
      const protocol = choose(request.headers.get("sec-websocket-protocol"))
      const headers = protocol === undefined ? {} : { "sec-websocket-protocol": protocol }
      server.upgrade(request, { headers, data: { url, protocol } })
    },
    websocket: {
      perMessageDeflate: true,
      open: (ws) => {
        const socket = {
          // What is not asked to be compressed is not.
          send: (data) => ws.send(data, true),
          close: (code, reason) => ws.close(code, reason),
          terminate: () => ws.terminate(),
          ping: () => ws.ping()
        }
        ws.data.socket = socket
        peer.accepted(ws.data.url, socket, ws.data.protocol)
      },
      message: (ws, data) => ws.data.socket.onmessage({ data }),
      pong: (ws) => pongs.get(ws.data.socket)?.(),
      close: (ws, code, reason) => ws.data.socket.onclose({ code, reason })
    }
  })
  return server.port
}

const peer = commands({
  make: ({ url, subprotocols, origin }) =>
    new WebSocket(url, { protocols: subprotocols, headers: origin === undefined ? {} : { origin } }),
  ping: (socket) =>
    new Promise((resolve) => {
      pongs.set(socket, resolve)
      // A client tells of a pong by an event, a server by the function above.
      socket.addEventListener?.("pong", resolve)
      socket.ping()
    }),
  listen: () => ({ ws: start(undefined), wss: start({ cert: pem("cert"), key: pem("key") }) })
})

serve(peer)
