import { Effect, Layer, Tracer } from "effect"

/** A tracer that keeps its spans, those that have not ended too, in the order in which they began. */
export const recording = Effect.map(Effect.tracer, (native) => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    context: (run, fiber) => native.context(run, fiber),
    span: (...parts) => {
      const span = native.span(...parts)
      spans.push(span)
      return span
    }
  })
  return { spans, layer: Layer.setTracer(tracer) }
})
