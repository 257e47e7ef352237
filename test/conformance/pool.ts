import type { Verdict } from "./judge.js"

/** What has an id, and is run by something. */
interface Running<A> {
  readonly run: (test: A) => Promise<Verdict>
}

/** Runs tests side by side, so many at a time, and tells of each as it ends. */
export const runAll = async <A extends { readonly id: string }>(
  runner: Running<A>,
  tests: ReadonlyArray<A>,
  jobs: number,
  tell: (test: A, verdict: Verdict, milliseconds: number) => void = () => {}
): Promise<ReadonlyMap<string, Verdict>> => {
  const verdicts = new Map<string, Verdict>()
  const left = tests.values()
  const work = async (): Promise<void> => {
    // One iterator for all of them: each case is taken once.
    for (const test of left) {
      const start = performance.now()
      const verdict = await runner.run(test)
      verdicts.set(test.id, verdict)
      tell(test, verdict, Math.round(performance.now() - start))
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, tests.length) }, work))
  return verdicts
}
