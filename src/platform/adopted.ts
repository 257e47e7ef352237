import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"

/**
 * Runs an effect as if a fiber with these references had forked it: with its
 * loggers, annotations and levels. Its services and its scheduler are those
 * of the fiber that runs it.
 */
export const adopted = <A, E, R>(refs: FiberRefs.FiberRefs, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const scheduler = fiber.getFiberRef(FiberRef.currentScheduler)
    const context = fiber.currentContext
    const adopting = Effect.updateFiberRefs((fiberId) =>
      FiberRefs.forkAs(refs, fiberId).pipe(
        FiberRefs.updateAs({ fiberId, fiberRef: FiberRef.currentScheduler, value: scheduler }),
        FiberRefs.updateAs({ fiberId, fiberRef: FiberRef.currentContext, value: context })
      )
    )
    return Effect.zipRight(adopting, effect)
  })
