/** Who waits until something can be sent, or has been: made for a connection when somebody first has to. */

/** Called when its time has come, once. */
export type Proceed = () => void

/** Takes a waiter back out. */
export type TakeBack = () => void

/** Some that wait for the same thing, first come, first served. */
class Line {
  private waiting: Array<Proceed> = []

  get isEmpty(): boolean {
    return this.waiting.length === 0
  }

  add(proceed: Proceed): TakeBack {
    // One of its own, as the same function may wait twice.
    const waiter = () => proceed()
    this.waiting.push(waiter)
    return () => {
      this.waiting = this.waiting.filter((other) => other !== waiter)
    }
  }

  next(): void {
    this.waiting.shift()?.()
  }

  takeAll(): ReadonlyArray<Proceed> {
    return this.waiting.splice(0)
  }
}

export class Waiters {
  /** For their turn to send a message, and for room for it. */
  readonly turns = new Line()
  /** For room for the next fragment of the message whose turn it is. */
  readonly room = new Line()
  /** For the transport to have sent all that it has. */
  readonly drains = new Line()

  /** Whatever they wait for does not come any more. */
  end(): void {
    const all = [...this.drains.takeAll(), ...this.turns.takeAll(), ...this.room.takeAll()]
    for (const proceed of all) proceed()
  }
}
