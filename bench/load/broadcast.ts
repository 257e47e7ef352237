import { setTimeout as sleep } from "node:timers/promises"
import { makeFrames, repeat } from "../frames.js"
import { SameReplies } from "../replies.js"
import type { Broadcast } from "../workloads.js"
import type { Load } from "./Load.js"
import { answerPing, fail, type Link, openLink, openLinks, received, watch } from "./link.js"

/**
 * The first connection sends; a broadcast is over when every connection, that one too, has it. So many of them are in
 * flight: each that is over is followed by another.
 */
class Broadcasts {
  private readonly window: number
  private readonly request: Buffer
  private links: ReadonlyArray<Link> = []
  /** Broadcasts that were sent, and that have reached everybody. */
  private sent = 0
  private over = 0
  /** How many connections have still to get each broadcast in flight; they get them in order. */
  private readonly missing: Array<number>
  private running = false
  private drained = (): void => {}

  constructor(request: Buffer, window: number) {
    this.request = request
    this.window = window
    this.missing = new Array<number>(window).fill(0)
  }

  begin(links: ReadonlyArray<Link>): void {
    this.links = links
  }

  async run(seconds: number): Promise<number> {
    const before = this.over
    const timer = watch(
      () => this.over,
      () => `${this.missing.reduce((sum, count) => sum + count, 0)} deliveries are missing`
    )
    const done = new Promise<void>((resolve) => {
      this.drained = resolve
    })
    this.running = true
    this.send(this.window)
    await sleep(seconds * 1000)
    this.running = false
    await done
    clearInterval(timer)
    return (this.over - before) * this.links.length
  }

  private send(count: number): void {
    for (let i = 0; i < count; i++) this.missing[(this.sent + i) % this.window] = this.links.length
    this.sent += count
    this.links[0]?.socket.write(repeat(this.request, count))
  }

  /** A connection that has had `had` broadcasts gets some more of them. */
  deliver(had: number, count: number): void {
    if (had + count > this.sent) {
      fail("WrongReply", `${had + count - this.sent} more broadcasts than were sent on a connection`)
      return
    }
    let finished = 0
    for (let i = had; i < had + count; i++) {
      const slot = i % this.window
      const left = (this.missing[slot] ?? 0) - 1
      this.missing[slot] = left
      if (left === 0) finished++
    }
    if (finished === 0) return
    this.over += finished
    if (this.running) this.send(finished)
    else if (this.over === this.sent) this.drained()
  }
}

export const broadcast = (workload: Broadcast, port: number): Load => {
  const { reply, request } = makeFrames(workload)
  const broadcasts = new Broadcasts(request, workload.window)
  const expected = repeat(reply, 1 + Math.ceil(received.length / reply.length))
  const open = async () => {
    const link = await openLink({ port })
    const replies = new SameReplies(expected, reply.length, (payload) => answerPing(link, payload))
    let had = 0
    link.receive = (length) => {
      const came = replies.count(received, length)
      if (typeof came === "string") {
        fail("WrongReply", `of the broadcasts ${came}`)
        return
      }
      broadcasts.deliver(had, came)
      had += came
    }
    return link
  }
  return {
    open: async (connections) => broadcasts.begin(await openLinks(connections, open)),
    run: (seconds) => broadcasts.run(seconds)
  }
}
