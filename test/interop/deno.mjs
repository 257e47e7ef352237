import { choose, pem, serve } from "./lines.mjs"
import { commands } from "./web.mjs"

/** Deno's WebSocket and its server. */

const answer = (request) => {
  const url = new URL(request.url)
  if (url.pathname === "/refused") return new Response("no", { status: 403 })
  const protocol = choose(request.headers.get("sec-websocket-protocol"))
  const { socket, response } = Deno.upgradeWebSocket(request, protocol === undefined ? {} : { protocol })
  // The socket itself says no protocol.
  socket.onopen = () => peer.accepted(url, socket, protocol)
  return response
}

const start = (options) => {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, ...options }, answer)
  return server.addr.port
}

const peer = commands({
  make: ({ url, subprotocols, origin }) =>
    new WebSocket(url, { protocols: subprotocols, headers: origin === undefined ? {} : { origin } }),
  listen: () => ({ ws: start({}), wss: start({ cert: pem("cert"), key: pem("key") }) })
})

serve(peer)
