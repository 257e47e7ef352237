import type { Violation } from "./Frame.js"
import { copyOf } from "./native.js"

/** What an extension that took its time made of a message. */
export interface Late {
  readonly payload: Uint8Array | Violation
  readonly isText: boolean
}

/**
 * Why a decoder reads on later, and what has come until then: an extension
 * takes its time with a message, or the receiver is full.
 */
export class Suspension {
  /** In memory of our own; undefined while nothing is kept. */
  private chunks: Array<Uint8Array> | undefined
  private isWorking = false
  private late: Late | undefined
  /** What is read is what was kept, and so ours. */
  private isReplaying = false

  get isOn(): boolean {
    return this.chunks !== undefined
  }

  /** An extension is at work. */
  get isDecoding(): boolean {
    return this.isWorking && this.late === undefined
  }

  /** Keeps the rest of a chunk. */
  begin(chunk: Uint8Array, from: number): void {
    this.chunks = []
    if (from < chunk.length) this.push(chunk.subarray(from))
  }

  push(chunk: Uint8Array): void {
    this.chunks?.push(this.isReplaying ? chunk : copyOf(chunk, 0, chunk.length))
  }

  /** Has an extension do its work; `done` hears when it is. */
  work(start: (done: (payload: Uint8Array | Violation) => void) => void, isText: boolean, done: () => void): void {
    this.isWorking = true
    start((payload) => {
      if (!this.isOn) return
      this.late = { payload, isText }
      done()
    })
  }

  /** Reads on: first what the extension says, then what was kept, each chunk by `read` until that suspends anew. */
  replay(first: (late: Late) => boolean, read: (chunk: Uint8Array) => void): void {
    const { chunks = [], late } = this
    this.end()
    if (late !== undefined && !first(late)) return
    this.isReplaying = true
    for (const chunk of chunks) {
      if (this.isOn) this.push(chunk)
      else read(chunk)
    }
    this.isReplaying = false
  }

  end(): void {
    this.chunks = undefined
    this.isWorking = false
    this.late = undefined
  }
}
