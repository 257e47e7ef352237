import type { Entry } from "./deadlines.js"

/** A peer that has connected and said nothing yet, and the time it has for that. */
export class Silence implements Entry {
  dueAt = 0
  place = -1
  private readonly cut: () => void
  private readonly over: (isLate: boolean) => void
  private isOver = false

  /** `over` is called once, whatever ends it, and hears whether that is the time. */
  constructor(cut: () => void, over: (isLate: boolean) => void) {
    this.cut = cut
    this.over = over
  }

  fire(): void {
    this.end(true)
    this.cut()
  }

  /** It has said something, or has gone. */
  end(isLate = false): void {
    if (this.isOver) return
    this.isOver = true
    this.over(isLate)
  }
}
