/**
 * The same handler behind TLS: `wss` instead of `ws`, and nothing else changes.
 *
 * A certificate for localhost is made anew at each start. The key stays in
 * memory; the certificate is written to localhost.pem beside this file, for
 * secure-client.ts to trust it. In production give a certificate of your own.
 *
 * Run it with `npx tsx examples/secure-server.ts`, stop it with Ctrl-C.
 */
import { writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { Effect, Layer, Redacted } from "effect"
import { WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { generate } from "selfsigned"
import { hello } from "./hello-server.js"

/** PEM: what the server shows, and what only it knows. */
export interface Certificate {
  readonly cert: string
  readonly key: Redacted.Redacted<string>
}

export const certificateFile = fileURLToPath(new URL("localhost.pem", import.meta.url))

/** Makes a certificate for localhost and writes it, without the key, to a file. */
export const makeCertificate = (file: string) =>
  Effect.tryPromise(async (): Promise<Certificate> => {
    const localhost = [{ name: "commonName", value: "localhost" }]
    const { cert, private: key } = await generate(localhost, { keyType: "ec", algorithm: "sha256" })
    await writeFile(file, cert)
    return { cert, key: Redacted.make(key) }
  })

export interface Options {
  readonly port: number
  /** One for localhost is made unless there is one. */
  readonly certificate?: Certificate | undefined
  /** Where that one is written to. */
  readonly file?: string | undefined
}

export const secureServer = ({ port, certificate, file = certificateFile }: Options) =>
  Effect.gen(function* () {
    const tls = certificate ?? (yield* makeCertificate(file))
    return WebSocketServer.layer(hello).pipe(Layer.provide(NodeListener.layer({ host: "localhost", port, tls })))
  }).pipe(Layer.unwrapEffect)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(secureServer({ port: 8765 })).pipe(runMain)
}
