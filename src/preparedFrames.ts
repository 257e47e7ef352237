/** Whole frames that are sent to many connections, and wait for this one: nobody's own, never written to. */
export class PreparedFrames {
  private readonly frames: Array<Uint8Array>
  /** In bytes. */
  size: number

  /** Mostly the first leaves before another comes: a list of one is a quarter of the memory of one that has grown. */
  constructor(first: Uint8Array) {
    this.frames = [first]
    this.size = first.length
  }

  get count(): number {
    return this.frames.length
  }

  add(frame: Uint8Array): void {
    this.frames.push(frame)
    this.size += frame.length
  }

  dropFirst(): void {
    this.size -= this.frames.shift()?.length ?? 0
  }

  get all(): ReadonlyArray<Uint8Array> {
    return this.frames
  }
}
