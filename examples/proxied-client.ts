/**
 * A client behind a proxy, with nothing changed in what it does: one that is named, or those of the environment.
 *
 * Run it with `npx tsx examples/proxied-client.ts http://proxy.example:3128`, or with `wss_proxy` and its like set.
 */
import { fileURLToPath } from "node:url"
import { Effect, Layer, Redacted } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeProxy, runMain } from "effect-websockets/node"
import { helloClient, name } from "./hello-client.js"

export const proxied = (proxy: Redacted.Redacted<string>) =>
  WebSocketClient.layer.pipe(
    Layer.provide(NodeConnector.layer),
    Layer.provide(NodeProxy.layer(proxy, { except: ["intranet.example"] }))
  )

export const proxiedByEnvironment = WebSocketClient.layer.pipe(
  Layer.provide(NodeConnector.layer),
  Layer.provide(NodeProxy.layerEnvironment)
)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , proxy] = process.argv
  const client = proxy === undefined ? proxiedByEnvironment : proxied(Redacted.make(proxy))
  helloClient("ws://localhost:8765", name).pipe(Effect.provide(client), runMain)
}
