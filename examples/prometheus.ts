/** Effect's metrics in the text format that Prometheus scrapes, as a route of any HTTP server of `@effect/platform`. */
import { HttpServerResponse } from "@effect/platform"
import { Effect, Metric, type MetricKey, MetricState, Option } from "effect"

const escaped = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

const nameOf = (text: string) => text.replaceAll(/[^a-zA-Z0-9_]/g, "_")

const show = (value: number | bigint) => (value === Number.POSITIVE_INFINITY ? "+Inf" : String(value))

/** A metric's type, and its samples: the end of the name, labels beside its own, the value. */
const samplesOf = (state: MetricState.MetricState.Untyped) => {
  type Sample = readonly [suffix: string, labels: Readonly<Record<string, string>>, value: number | bigint]
  const typed = (type: string, ...samples: ReadonlyArray<Sample>) => ({ type, samples })
  if (MetricState.isCounterState(state)) return typed("counter", ["", {}, state.count])
  if (MetricState.isGaugeState(state)) return typed("gauge", ["", {}, state.value])
  if (MetricState.isFrequencyState(state)) {
    return typed("counter", ...[...state.occurrences].map(([key, count]): Sample => ["", { key }, count]))
  }
  const totals: ReadonlyArray<Sample> =
    MetricState.isHistogramState(state) || MetricState.isSummaryState(state)
      ? [
          ["_sum", {}, state.sum],
          ["_count", {}, state.count]
        ]
      : []
  if (MetricState.isHistogramState(state)) {
    return typed(
      "histogram",
      ...[...state.buckets].map(([le, n]): Sample => ["_bucket", { le: show(le) }, n]),
      ...totals
    )
  }
  return typed("summary", ...totals)
}

const linesOf = ({ name, tags }: MetricKey.MetricKey.Untyped, state: MetricState.MetricState.Untyped) =>
  samplesOf(state).samples.map(([suffix, labels, value]) => {
    const all = [...tags.map(({ key, value }) => [key, value] as const), ...Object.entries(labels)]
    const inside = all.map(([key, text]) => `${nameOf(key)}="${escaped(text)}"`).join(",")
    return `${nameOf(name)}${suffix}${inside === "" ? "" : `{${inside}}`} ${show(value)}`
  })

export const prometheus = Effect.map(Metric.snapshot, (snapshot) => {
  const families = new Map<string, Array<string>>()
  for (const { metricKey, metricState } of snapshot) {
    const name = nameOf(metricKey.name)
    const help = escaped(Option.getOrElse(metricKey.description, () => metricKey.name))
    const family = families.get(name) ?? [`# HELP ${name} ${help}`, `# TYPE ${name} ${samplesOf(metricState).type}`]
    families.set(name, [...family, ...linesOf(metricKey, metricState)])
  }
  const text = [...families.values()]
    .flat()
    .map((line) => `${line}\n`)
    .join("")
  return HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
})
