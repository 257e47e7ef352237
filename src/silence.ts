import { constVoid } from "effect/Function"
import type { Deadlines, Entry } from "./deadlines.js"

/** A peer that has connected and said nothing yet, and the time it has for that. */
class Silence implements Entry {
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

export interface SilenceLimits {
  /** Milliseconds. */
  readonly openTimeout: number
  readonly maxHandshakes: number
}

/** The peers of a port that have said nothing yet, or nothing since their last answer. */
export class Silences {
  private readonly deadlines: Deadlines
  private readonly limits: SilenceLimits
  /** Those that have said nothing yet. */
  private silent = 0
  private readonly failed: (outcome: "timeout" | "failed") => void
  private readonly heard = (isLate: boolean) => {
    this.silent--
    if (isLate) this.failed("timeout")
  }

  /** `failed` hears of those that never come to ask. */
  constructor(deadlines: Deadlines, limits: SilenceLimits, failed: (outcome: "timeout" | "failed") => void) {
    this.deadlines = deadlines
    this.limits = limits
    this.failed = failed
  }

  /** One more; what is returned is called when it is heard, or has gone. */
  arrived(cut: () => void, wasAnswered = false): () => void {
    // Who comes on top of as many as may be silent at a time is not worth an answer: it has asked nothing.
    if (!wasAnswered && this.silent >= this.limits.maxHandshakes) {
      this.failed("failed")
      cut()
      return constVoid
    }
    // Connections that are kept for a while take no place from others.
    if (!wasAnswered) this.silent++
    const silence = new Silence(cut, wasAnswered ? constVoid : this.heard)
    this.deadlines.set(silence, this.deadlines.now() + this.limits.openTimeout)
    return () => {
      this.deadlines.remove(silence)
      silence.end()
    }
  }
}
