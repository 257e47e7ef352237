import { Clock, Duration, Effect } from "effect"

/**
 * A clock that stands still until it is told to go on, as TestClock, but
 * without the milliseconds of real time that TestClock waits at every step:
 * thousands of cases a minute would do nothing else.
 */
export interface ManualClock {
  readonly clock: Clock.Clock
  /** Goes on by so many milliseconds, from one sleeper to the next, and lets each of them act. */
  readonly adjust: (milliseconds: number) => Effect.Effect<void>
}

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

/** @param settle lets everything happen that can happen without time passing. */
export const makeManualClock = (settle: Effect.Effect<void>): ManualClock => {
  let now = 0
  let sleepers: Array<Sleeper> = []
  const sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.async<void>((resume) => {
      const sleeper = { due: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      if (sleeper.due <= now) sleeper.wake()
      else sleepers.push(sleeper)
      return Effect.sync(() => {
        sleepers = sleepers.filter((other) => other !== sleeper)
      })
    })
  const goTo = (end: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const next = Math.min(...sleepers.map(({ due }) => due))
      if (next > end) {
        now = end
        return Effect.void
      }
      now = next
      const due = sleepers.filter((sleeper) => sleeper.due <= now)
      sleepers = sleepers.filter((sleeper) => sleeper.due > now)
      for (const { wake } of due) wake()
      return Effect.zipRight(settle, goTo(end))
    })
  return {
    clock: {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => now,
      unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
      currentTimeMillis: Effect.sync(() => now),
      currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
      sleep
    },
    adjust: (milliseconds) =>
      Effect.zipRight(
        settle,
        Effect.suspend(() => goTo(now + milliseconds))
      )
  }
}
