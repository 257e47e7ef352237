/**
 * Everything on one port, as in `one-port.ts`, and observed: `/metrics` for
 * Prometheus, and traces, metrics and logs over OTLP for any collector.
 *
 * Run it with `npx tsx examples/observed.ts`, a collector listening on 4318.
 */
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
// By its path: the package as a whole needs OpenTelemetry's SDK.
import * as Otlp from "@effect/opentelemetry/Otlp"
import { FetchHttpClient, HttpLayerRouter } from "@effect/platform"
import { Layer } from "effect"
import { runMain } from "effect-websockets/node"
import { PlatformHttpServer } from "effect-websockets/platform"
import { onePort } from "./one-port.js"
import { prometheus } from "./prometheus.js"

/** Below whatever it is to observe: servers and clients look for it when they are made. */
export const telemetry = (options: { readonly collector: string; readonly serviceName: string }) =>
  Otlp.layerJson({ baseUrl: options.collector, resource: { serviceName: options.serviceName } }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

export const observedServer = (options: { readonly port: number; readonly collector: string }) =>
  HttpLayerRouter.serve(Layer.merge(onePort, HttpLayerRouter.add("GET", "/metrics", prometheus))).pipe(
    Layer.provideMerge(PlatformHttpServer.layer(createServer, { host: "localhost", port: options.port })),
    Layer.provide(telemetry({ collector: options.collector, serviceName: "one-port" }))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(observedServer({ port: 8765, collector: "http://localhost:4318" })).pipe(runMain)
}
