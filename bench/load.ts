import { createHash, randomBytes } from "node:crypto"
import net from "node:net"
import { type Frames, makeFrames, repeat } from "./frames.js"
import { cpuMicros, type Fault, type Finished, type FromLoad, type ToLoad } from "./messages.js"
import { DeflatedReplies, type Replies, SameReplies } from "./replies.js"
import { type Workload, workloadNamed } from "./workloads.js"

/**
 * The load generator: raw TCP with a real opening handshake and frames encoded beforehand.
 *
 * It never trusts a server: every reply is checked, the first and the last. As many requests as there were replies go
 * back in one write.
 */

const host = "127.0.0.1"
const connectTimeout = 5_000
const stallTimeout = 5_000

/** One buffer for all connections: what arrives in it is dealt with before the next read. */
const received = Buffer.allocUnsafe(256 * 1024)

interface Link {
  readonly socket: net.Socket
  /** Requests sent and not yet answered. */
  inFlight: number
  readonly replies: Replies
}

class LoadError extends Error {
  readonly fault: Fault

  constructor(fault: Fault, message: string) {
    super(message)
    this.fault = fault
  }
}

const report = (message: FromLoad): void => {
  process.send?.(message)
}

let failed = false

/** The first fault is the cause, the others follow from it. */
const fail = (fault: Fault, reason: string): void => {
  if (failed) return
  failed = true
  report({ _tag: "Failed", fault, reason })
}

/** A server has to agree to all of it. */
const deflateOffer = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

/** §4.1, §4.2.2: asks for the upgrade, checks the answer, hands what comes after to `receive`. */
const openLink = (
  port: number,
  extension: string | undefined,
  makeReplies: () => Replies,
  receive: (link: Link, length: number) => void
): Promise<Link> =>
  new Promise((resolve, reject) => {
    const key = randomBytes(16).toString("base64")
    let head = ""
    let link: Link | undefined
    const readHead = (length: number): void => {
      head += received.toString("latin1", 0, length)
      const end = head.indexOf("\r\n\r\n")
      if (end < 0) return
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
      const agreed = /^sec-websocket-extensions: *(.*)\r$/im.exec(head)?.[1]
      const isAgreed = agreed?.split(/; */).sort().join() === extension?.split("; ").sort().join()
      const accepted = head.startsWith("HTTP/1.1 101 ") && head.includes(accept) && isAgreed
      if (!accepted || end + 4 !== head.length) {
        reject(new LoadError("Disconnected", `the upgrade was answered with ${JSON.stringify(head)}`))
        return
      }
      link = { socket, inFlight: 0, replies: makeReplies() }
      resolve(link)
    }
    const onread = {
      buffer: received,
      callback: (length: number) => {
        if (link === undefined) readHead(length)
        else receive(link, length)
        return true
      }
    }
    const socket = net.connect({ host, port, noDelay: true, onread })
    const ended = (reason: string): void => {
      reject(new LoadError("Disconnected", reason))
      if (link !== undefined) fail("Disconnected", reason)
    }
    socket.on("error", (error) => ended(`connection: ${error.message}`))
    socket.on("close", () => ended("the server ended a connection"))
    socket.write(
      `GET / HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `${extension === undefined ? "" : `Sec-WebSocket-Extensions: ${extension}\r\n`}` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`
    )
  })

/** One workload on its connections; idle until `run`. */
class Load {
  private readonly workload: Workload
  private readonly requests: ReadonlyArray<Buffer>
  private readonly makeReplies: () => Replies
  private readonly links: Array<Link> = []
  private answered = 0
  private running = false
  private drained = (): void => {}

  constructor(workload: Workload, frames: Frames) {
    const { request, reply } = frames
    this.workload = workload
    const whole = repeat(request, workload.window)
    this.requests = Array.from({ length: workload.window + 1 }, (_, n) => whole.subarray(0, n * request.length))
    const expected = repeat(reply, 1 + Math.ceil(received.length / reply.length))
    this.makeReplies = () => (workload.deflate ? new DeflatedReplies(frames) : new SameReplies(expected, reply.length))
  }

  async connect(port: number): Promise<void> {
    const { connections } = this.workload
    const timer = setTimeout(
      () => fail("Stalled", `${this.links.length} of ${connections} connections upgraded in ${connectTimeout} ms`),
      connectTimeout
    )
    // One after the other: a burst would measure the listen backlog.
    const extension = this.workload.deflate ? deflateOffer : undefined
    for (let i = 0; i < connections; i++) {
      this.links.push(await openLink(port, extension, this.makeReplies, this.receive))
    }
    clearTimeout(timer)
  }

  async run(seconds: number): Promise<Finished> {
    const before = this.answered
    const cpuBefore = cpuMicros()
    const start = performance.now()
    const watch = this.watch()
    const done = new Promise<void>((resolve) => {
      this.drained = resolve
    })
    this.running = true
    for (const link of this.links) this.send(link, this.workload.window)
    setTimeout(() => {
      this.running = false
    }, seconds * 1000)
    await done
    clearInterval(watch)
    return {
      _tag: "Finished",
      messages: this.answered - before,
      seconds: (performance.now() - start) / 1000,
      cpuMicros: cpuMicros() - cpuBefore
    }
  }

  private send(link: Link, count: number): void {
    link.inFlight += count
    link.socket.write(this.requests[count] ?? Buffer.alloc(0))
  }

  private readonly receive = (link: Link, length: number): void => {
    const replies = link.replies.count(received, length)
    if (typeof replies === "string") {
      fail("WrongReply", `of about ${this.answered} replies ${replies}`)
      return
    }
    if (replies === 0) return
    link.inFlight -= replies
    if (link.inFlight < 0) {
      fail("WrongReply", `${-link.inFlight} more replies than requests on a connection`)
      return
    }
    this.answered += replies
    if (this.running) this.send(link, replies)
    else if (this.links.every(({ inFlight }) => inFlight === 0)) this.drained()
  }

  private watch(): NodeJS.Timeout {
    let seen = -1
    return setInterval(() => {
      if (this.answered === seen) {
        const inFlight = this.links.reduce((sum, link) => sum + link.inFlight, 0)
        fail("Stalled", `no reply for ${stallTimeout} ms: ${seen} answered, ${inFlight} in flight`)
      }
      seen = this.answered
    }, stallTimeout)
  }
}

let load: Load | undefined

const obey = async (message: ToLoad): Promise<void> => {
  switch (message._tag) {
    case "Connect": {
      const workload = workloadNamed(message.workload)
      load = new Load(workload, makeFrames(workload))
      await load.connect(message.port)
      return report({ _tag: "Connected" })
    }
    case "Run": {
      if (load === undefined) throw new Error("Run came before Connect")
      return report(await load.run(message.seconds))
    }
  }
}

process.on("message", (message: ToLoad) => {
  obey(message).catch((error: unknown) => {
    if (error instanceof LoadError) fail(error.fault, error.message)
    else throw error
  })
})
process.on("disconnect", () => process.exit())
