/** A count that begins anew with each second in which something comes. */
export class PerSecond {
  private readonly max: number
  private countedFrom = Number.NEGATIVE_INFINITY
  private count = 0

  constructor(max: number) {
    this.max = max
  }

  /** Counts so many; false when there are too many within a second. */
  admit(count: number, now: number): boolean {
    // The clock may have been set back.
    if (now - this.countedFrom >= 1000 || now < this.countedFrom) {
      this.countedFrom = now
      this.count = 0
    }
    this.count += count
    return this.count <= this.max
  }
}
