import type { Socket } from "node:net"
import { type Frames, repeat } from "../frames.js"
import type { Replies } from "../replies.js"
import { fail, watch } from "./link.js"

/** A connection that sends bursts and gets an answer for each. */
export interface Talker {
  readonly socket: Socket
  readonly replies: Replies
  /** Bursts sent and not yet answered. */
  inFlight: number
}

/**
 * Keeps a window of bursts in flight on each of its connections, whoever has opened them: as many as were answered by
 * what has come go back in one write.
 */
export class Bursts {
  readonly talkers: Array<Talker> = []
  private readonly window: number
  private readonly messages: number
  private readonly requests: ReadonlyArray<Buffer>
  private answered = 0
  private running = false
  private drained = (): void => {}

  constructor({ messages, request }: Frames, window: number) {
    this.window = window
    this.messages = messages
    const whole = repeat(request, window)
    this.requests = Array.from({ length: window + 1 }, (_, n) => whole.subarray(0, n * request.length))
  }

  add(socket: Socket, replies: Replies): Talker {
    const talker = { socket, replies, inFlight: 0 }
    this.talkers.push(talker)
    return talker
  }

  /** The messages that were exchanged. */
  async run(seconds: number): Promise<number> {
    const before = this.answered
    const timer = watch(
      () => this.answered,
      () => `${this.talkers.reduce((sum, { inFlight }) => sum + inFlight, 0)} in flight`
    )
    const done = new Promise<void>((resolve) => {
      this.drained = resolve
    })
    this.running = true
    for (const talker of this.talkers) this.send(talker, this.window)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    this.running = false
    await done
    clearInterval(timer)
    return (this.answered - before) * this.messages
  }

  private send(talker: Talker, count: number): void {
    talker.inFlight += count
    talker.socket.write(this.requests[count] ?? Buffer.alloc(0))
  }

  /** The first `length` of these bytes have come for this one. */
  receive(talker: Talker, bytes: Buffer, length: number): void {
    const replies = talker.replies.count(bytes, length)
    if (typeof replies === "string") {
      fail("WrongReply", `of about ${this.answered} replies ${replies}`)
      return
    }
    if (replies === 0) return
    talker.inFlight -= replies
    if (talker.inFlight < 0) {
      fail("WrongReply", `${-talker.inFlight} more replies than requests on a connection`)
      return
    }
    this.answered += replies
    if (this.running) this.send(talker, replies)
    else if (this.talkers.every(({ inFlight }) => inFlight === 0)) this.drained()
  }
}
