/**
 * How far one end of a session has received what the other end sends. A
 * connection keeps the order, so that a message's place says its number; where
 * counting starts is said in each connection anew.
 */
export class Arrivals {
  private last = 0
  /** The number of the next message on the current connection. */
  private upcoming = 1
  private takenCount = 0

  /** All messages up to this number have been received. */
  get received(): number {
    return this.last
  }

  /** How many of them the program has taken. */
  get taken(): number {
    return this.takenCount
  }

  take(count: number): void {
    this.takenCount += count
  }

  /** The next message has this number. Says how many before it will never come: 0 unless the other end has lost some. */
  from(number: number): number {
    this.upcoming = number
    return Math.max(0, number - this.last - 1)
  }

  /** A message comes; false where it has come before. */
  arrived(): boolean {
    const number = this.upcoming++
    if (number <= this.last) return false
    this.last = number
    return true
  }
}
