import { HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { listening } from "./control.js"
import { handle } from "./effect.js"
import { makeHttpServer } from "./upgrading.js"

/** The platform's HTTP server, whose requests are upgraded. */
const app = HttpServerRequest.upgrade.pipe(
  Effect.flatMap(handle),
  Effect.as(HttpServerResponse.empty()),
  // As it is with a socket that its peer has closed.
  Effect.catchTag("SocketError", () => HttpServerResponse.empty())
)

const Report = Layer.effectDiscard(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    if (address._tag === "TcpAddress") listening(address.port)
  })
)

Layer.mergeAll(HttpServer.serve(app), Report).pipe(
  Layer.provide(NodeHttpServer.layer(makeHttpServer, { port: 0, host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
