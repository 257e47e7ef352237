/**
 * What one end of a session has sent, as long as the other end has not said
 * that its program has taken it. Messages are numbered from 1.
 */

/** Charged for each message beside its content, as an inbox does. */
const OVERHEAD = 64

/** So many places before the first message are worth a move. */
const MOVED_FROM = 1_024

export interface ReplayLimits {
  /** Bytes, with 64 for each message beside its content. */
  readonly maxReplayBytes: number
  readonly maxReplayMessages: number
}

type Message = string | Uint8Array

export class ReplayBuffer {
  /** Kept are kept[head, …); the first of them has the number `first`. */
  private kept: Array<Message | undefined> = []
  private head = 0
  private size = 0
  private firstNumber = 1
  /** The number of the first message that was never sent over any connection. */
  private unsent = 1
  private readonly limits: ReplayLimits

  constructor(limits: ReplayLimits) {
    this.limits = limits
  }

  /** The number of the oldest message that is kept; of the next one where none is. */
  get first(): number {
    return this.firstNumber
  }

  /** The number that the next message gets. */
  get next(): number {
    return this.firstNumber + this.kept.length - this.head
  }

  get isEmpty(): boolean {
    return this.head === this.kept.length
  }

  /** Whether a limit is reached; one message may go beyond it, so that any size can be sent. */
  get isFull(): boolean {
    const { maxReplayBytes, maxReplayMessages } = this.limits
    return this.size >= maxReplayBytes || this.kept.length - this.head >= maxReplayMessages
  }

  push(message: Message): void {
    this.kept.push(message)
    this.size += OVERHEAD + message.length
  }

  /** Whether so many messages were sent, over whatever connection. */
  hasSent(count: number): boolean {
    return count < this.unsent
  }

  /** Forgets all messages up to a number; false where no such message was ever sent. */
  acknowledge(taken: number): boolean {
    if (!this.hasSent(taken)) return false
    while (this.firstNumber <= taken) {
      // Between head and the end every place has its message.
      this.size -= OVERHEAD + this.kept[this.head]!.length
      this.kept[this.head++] = undefined
      this.firstNumber++
    }
    if (this.head === this.kept.length || this.head >= MOVED_FROM) {
      this.kept.splice(0, this.head)
      this.head = 0
    }
    return true
  }

  /**
   * Messages from a number on, to be sent: at least one if there is one, then as many as fit. None is before `first`.
   */
  take(number: number, maxBytes: number): ReadonlyArray<Message> {
    const messages: Array<Message> = []
    let size = 0
    for (let at = this.head + number - this.firstNumber; at < this.kept.length && size < maxBytes; at++) {
      const message = this.kept[at]!
      messages.push(message)
      size += OVERHEAD + message.length
    }
    this.unsent = Math.max(this.unsent, number + messages.length)
    return messages
  }

  /** Forgets everything; nothing will be asked for any more. */
  clear(): void {
    this.firstNumber = this.next
    this.kept = []
    this.head = 0
    this.size = 0
  }
}
