import { constVoid } from "effect/Function"
import type { Deadlines, Entry } from "./deadlines.js"

/** A peer that has connected and said nothing yet, and the time it has for that. */
class Silence implements Entry {
  dueAt = 0
  place = -1
  private readonly cut: () => void
  private readonly over: () => void
  private isOver = false

  /** `over` is called once, whatever ends it. */
  constructor(cut: () => void, over: () => void) {
    this.cut = cut
    this.over = over
  }

  fire(): void {
    this.end()
    this.cut()
  }

  /** It has said something, or has gone. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.over()
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
  private readonly heard = () => {
    this.silent--
  }

  constructor(deadlines: Deadlines, limits: SilenceLimits) {
    this.deadlines = deadlines
    this.limits = limits
  }

  /** One more; what is returned is called when it is heard, or has gone. */
  arrived(cut: () => void, wasAnswered = false): () => void {
    // Who comes on top of as many as may be silent at a time is not worth an answer: it has asked nothing.
    if (!wasAnswered && this.silent >= this.limits.maxHandshakes) {
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
