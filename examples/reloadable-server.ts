/**
 * A server whose certificate can be renewed while it runs: SIGHUP has the files read again. New connections see the new
 * certificate, the others go on; files that do not fit are logged, and the old certificate stays.
 *
 * Run it with `npx tsx examples/reloadable-server.ts cert.pem key.pem`.
 */
import { fileURLToPath } from "node:url"
import { Layer } from "effect"
import { WebSocketServer } from "effect-websockets"
import { NodeListener, runMain, TlsContext } from "effect-websockets/node"
import { hello } from "./hello-server.js"

export const reloadableServer = (port: number, files: { readonly cert: string; readonly key: string }) =>
  WebSocketServer.layer(hello).pipe(
    Layer.provide(NodeListener.layerTls({ host: "localhost", port })),
    Layer.provide(TlsContext.layerFiles(files, { reloadOn: TlsContext.onSignal("SIGHUP") }))
  )

const [, script, cert, key] = process.argv
if (script === fileURLToPath(import.meta.url) && cert !== undefined && key !== undefined) {
  Layer.launch(reloadableServer(8765, { cert, key })).pipe(runMain)
}
