import type { Kept } from "../../bench/kept.js"
import type { Results, Round } from "../../bench/results.js"

/** Results made up: a cost for each server and round. */
export const resultsOf = (
  workload: string,
  costs: Readonly<Partial<Record<keyof Round, ReadonlyArray<number>>>>,
  rest: Partial<Results> = {}
): Results => {
  const count = Math.max(...Object.values(costs).map((values) => values.length))
  const rounds = Array.from({ length: count }, (_, i) =>
    Object.fromEntries(
      Object.entries(costs).flatMap(([server, values]) =>
        values[i] === undefined ? [] : [[server, { cost: values[i], load: 1, perSecond: 1000 }]]
      )
    )
  )
  return { workload, date: "2026-01-02T03:04:05.000Z", commit: "abc1234", rounds, failures: {}, ...rest }
}

export const keptOf = (...results: ReadonlyArray<Results>): Kept => ({
  machine: { cpu: "a CPU", cores: 2, memoryGiB: 8, system: "Linux 6", node: "v20.1.0", pinned: true },
  versions: { "effect-websockets": "0.1.0", ws: "8.0.0" },
  absent: { uws: "it is not installed" },
  results
})
