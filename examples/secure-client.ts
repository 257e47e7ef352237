/**
 * A client that trusts one certificate which no authority has signed.
 *
 * The certificate is given as `tls.ca`. Without it the connection fails with a
 * `TransportError` whose operation is `tls`. A server whose certificate an
 * authority has signed needs no option at all.
 *
 * Run it with `npx tsx examples/secure-client.ts` while secure-server.ts runs.
 */
import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { Effect, Layer } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, runMain } from "effect-websockets/node"
import { helloClient, name } from "./hello-client.js"
import { certificateFile } from "./secure-server.js"

/** A client that trusts the certificate in a file, and no other. */
export const clientTrusting = (file: string) =>
  Effect.gen(function* () {
    const ca = yield* Effect.tryPromise(() => readFile(file, "utf8"))
    return WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layerWith({ tls: { ca } })))
  }).pipe(Layer.unwrapEffect)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  helloClient("wss://localhost:8765", name).pipe(Effect.provide(clientTrusting(certificateFile)), runMain)
}
