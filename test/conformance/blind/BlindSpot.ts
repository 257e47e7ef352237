import type { Role } from "../run.js"
import type { Bench } from "./Bench.js"

/** What the public testsuite leaves out. A blind spot is a scenario, where a case is data. */
export interface BlindSpot {
  readonly id: string
  /** What the testee has to do, as a sentence. */
  readonly title: string
  /** Whose blind spot it is: the testee's. */
  readonly role: Role | "both"
  /** Settles when the testee did as it has to, and rejects with a `Problem` where it did not. */
  readonly run: (bench: Bench) => Promise<void>
}

/** What a testee did that it must not do; the message is the verdict's note. */
export class Problem extends Error {}

export function demand(holds: boolean, problem: string): asserts holds {
  if (!holds) throw new Problem(problem)
}

export const isOfRole =
  (role: Role) =>
  (spot: BlindSpot): boolean =>
    spot.role === "both" || spot.role === role

/** Tries situations one after the other; a problem says in which of them it was. */
export const each = async <A>(
  situations: Iterable<readonly [name: string, situation: A]>,
  run: (situation: A) => Promise<unknown>
): Promise<void> => {
  for (const [name, situation] of situations) {
    try {
      await run(situation)
    } catch (error) {
      if (error instanceof Problem) throw new Problem(`${name}: ${error.message}`)
      throw error
    }
  }
}
