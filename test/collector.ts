import { createServer } from "node:http"
import { assert } from "@effect/vitest"
import { Effect } from "effect"

/** A receiver of OTLP over HTTP, in JSON, on a port of its own. */

interface KeyValue {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string; readonly doubleValue?: number }
}

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes: ReadonlyArray<KeyValue>
  readonly status: { readonly code: number }
}

interface Traces {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<KeyValue> }
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }>
  }>
}

interface Metrics {
  readonly resourceMetrics: ReadonlyArray<{
    readonly scopeMetrics: ReadonlyArray<{
      readonly metrics: ReadonlyArray<{
        readonly name: string
        readonly sum?: { readonly dataPoints: ReadonlyArray<Point> }
        readonly gauge?: { readonly dataPoints: ReadonlyArray<Point> }
      }>
    }>
  }>
}

interface Point {
  readonly attributes: ReadonlyArray<KeyValue>
  readonly asDouble?: number
}

const attributes = (all: ReadonlyArray<KeyValue>): Record<string, unknown> =>
  Object.fromEntries(
    all.map(({ key, value }) => [key, value.stringValue ?? value.doubleValue ?? Number(value.intValue)])
  )

/** A span with its attributes as an object, and the name of the service that it comes from. */
const flat = ({ resourceSpans }: Traces) =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        ...span,
        service: attributes(resource.attributes)["service.name"],
        attributes: attributes(span.attributes)
      }))
    )
  )

export const collector = Effect.acquireRelease(
  Effect.async<{ readonly server: ReturnType<typeof createServer>; readonly bodies: Array<[string, string]> }>(
    (resume) => {
      const bodies: Array<[string, string]> = []
      const server = createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8")
        request.on("data", (chunk: string) => {
          body += chunk
        })
        request.on("end", () => {
          bodies.push([request.url ?? "", body])
          response.writeHead(200, { "content-type": "application/json" }).end("{}")
        })
      })
      server.listen(0, "localhost", () => resume(Effect.succeed({ server, bodies })))
    }
  ),
  ({ server }) =>
    Effect.async<void>((resume) => {
      server.closeAllConnections()
      server.close(() => resume(Effect.void))
    })
).pipe(
  Effect.map(({ bodies, server }) => {
    const address = server.address()
    if (address === null || typeof address === "string") return assert.fail("it has no port")
    const at = (path: string) => bodies.filter(([url]) => url === path).map(([, body]) => body)
    return {
      url: `http://localhost:${address.port}`,
      /** Everything that was received, as it came. */
      text: () => bodies.map(([, body]) => body).join("\n"),
      spans: () => at("/v1/traces").flatMap((body) => flat(JSON.parse(body) as Traces)),
      logs: () => at("/v1/logs").join("\n"),
      /** The latest points of a metric, by its labels. */
      metric: (name: string) => {
        const { resourceMetrics } = JSON.parse(at("/v1/metrics").at(-1) ?? assert.fail("no metrics came")) as Metrics
        return resourceMetrics
          .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
          .filter((metric) => metric.name === name)
          .flatMap(({ gauge, sum }) => (gauge ?? sum)?.dataPoints ?? [])
          .map(({ asDouble, attributes: labels }) => ({ ...attributes(labels), value: asDouble }))
      }
    }
  })
)
