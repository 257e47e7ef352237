/**
 * A count that begins anew with each second in which something comes. What
 * waited while nobody read comes at once: for as long as that was, so much more
 * is let through, until a second can do without.
 */
export class PerSecond {
  private readonly max: number
  private countedFrom = Number.NEGATIVE_INFINITY
  private count = 0
  private extra = 0
  /** No second has begun since there was more of it. */
  private isExtraNew = false

  constructor(max: number) {
    this.max = max
  }

  /** Counts so many; false when there are too many within a second. */
  admit(count: number, now: number): boolean {
    // The clock may have been set back.
    if (now - this.countedFrom >= 1000 || now < this.countedFrom) {
      const used = Math.max(0, this.count - this.max)
      this.extra = used > 0 || this.isExtraNew ? this.extra - used : 0
      this.isExtraNew = false
      this.countedFrom = now
      this.count = 0
    }
    this.count += count
    return this.count <= this.max + this.extra
  }

  /** Nothing was read for so many milliseconds. */
  waited(milliseconds: number): void {
    if (milliseconds <= 0) return
    this.extra += (this.max * milliseconds) / 1000
    this.isExtraNew = true
  }
}
