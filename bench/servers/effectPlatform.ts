import { SocketServer } from "@effect/platform"
import type { Socket } from "@effect/platform/Socket"
import { NodeRuntime, NodeSocketServer } from "@effect/platform-node"
import { Effect } from "effect"
import { ownWorkload } from "../workloads.js"
import { listening } from "./control.js"

const echo = (socket: Socket) => Effect.scoped(Effect.flatMap(socket.writer, (write) => socket.runRaw(write)))

const perMessageDeflate = ownWorkload().deflate === true

Effect.gen(function* () {
  const server = yield* SocketServer.SocketServer
  if (server.address._tag === "TcpAddress") listening(server.address.port)
  return yield* server.run(echo)
}).pipe(
  Effect.provide(NodeSocketServer.layerWebSocket({ port: 0, host: "127.0.0.1", perMessageDeflate })),
  NodeRuntime.runMain
)
