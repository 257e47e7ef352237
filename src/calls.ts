const nothing: ReadonlyArray<never> = []

/** Callbacks that are all called once, together. What they add meanwhile is for the next time. */
export class Calls {
  // Copied with each: arrays that grow have room for sixteen more, which each connection would pay.
  private waiting: ReadonlyArray<() => void> = nothing

  /** Returns how to take it back. */
  add(run: () => void): () => void {
    this.waiting = [...this.waiting, run]
    return () => {
      this.waiting = this.waiting.filter((other) => other !== run)
    }
  }

  run(): void {
    const { waiting } = this
    this.waiting = nothing
    for (const run of waiting) run()
  }
}
