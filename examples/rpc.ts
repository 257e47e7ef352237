/**
 * Remote procedures with types on both ends: `@effect/rpc` over WebSockets.
 *
 * Calls of one client share a connection. When it is lost, calls that are on
 * their way fail, and the client connects again by itself.
 *
 * Run it with `npx tsx examples/rpc.ts`.
 */
import { fileURLToPath } from "node:url"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"
import { PlatformSocket, PlatformSocketServer } from "effect-websockets/platform"

export class Greetings extends RpcGroup.make(
  Rpc.make("Greet", { payload: { name: Schema.String }, success: Schema.String }),
  Rpc.make("Countdown", { payload: { from: Schema.Int }, success: Schema.Int, stream: true })
) {}

const procedures = Greetings.toLayer({
  Greet: ({ name }) => Effect.succeed(`Hello ${name}!`),
  Countdown: ({ from }) => Stream.map(Stream.range(1, from), (passed) => from - passed)
})

/** Serves the procedures. */
export const rpcServer = (options: { readonly port: number }) =>
  RpcServer.layer(Greetings).pipe(
    Layer.provide(procedures),
    Layer.provide(RpcServer.layerProtocolSocketServer),
    Layer.provideMerge(PlatformSocketServer.layer()),
    Layer.provide(NodeListener.layer({ host: "localhost", ...options })),
    Layer.provide(RpcSerialization.layerJson)
  )

/** Where a client's calls go. */
export const rpcClient = (uri: string) =>
  RpcClient.layerProtocolSocket().pipe(
    Layer.provide(PlatformSocket.layer(uri)),
    Layer.provide(WebSocketClient.layer),
    Layer.provide(NodeConnector.layer),
    Layer.provide(RpcSerialization.layerJson)
  )

export const calls = Effect.gen(function* () {
  const client = yield* RpcClient.make(Greetings)
  yield* Console.log(yield* client.Greet({ name: "World" }))
  yield* Stream.runForEach(client.Countdown({ from: 3 }), (left) => Console.log(left))
}).pipe(Effect.scoped)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const program = calls.pipe(
    Effect.provide(rpcClient("ws://localhost:8765")),
    Effect.provide(rpcServer({ port: 8765 }))
  )
  program.pipe(runMain)
}
