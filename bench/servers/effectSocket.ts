import { SocketServer } from "@effect/platform"
import { NodeRuntime, NodeSocketServer } from "@effect/platform-node"
import { Effect } from "effect"
import { listening } from "./control.js"
import { handle, perMessageDeflate } from "./effect.js"
import { makeHttpServer } from "./upgrading.js"

const server = makeHttpServer()
server.listen(0, "127.0.0.1")

/** The platform's own server of sockets. */
Effect.gen(function* () {
  const server = yield* SocketServer.SocketServer
  if (server.address._tag === "TcpAddress") listening(server.address.port)
  return yield* server.run(handle)
}).pipe(Effect.provide(NodeSocketServer.layerWebSocket({ server, perMessageDeflate })), NodeRuntime.runMain)
