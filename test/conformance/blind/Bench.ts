import { randomBytes } from "node:crypto"
import { connect, createServer, type Socket } from "node:net"
import { acceptOf, type Head } from "../handshake.js"
import type { Verdict } from "../judge.js"
import type { Role } from "../run.js"
import { startApart, type Usage } from "./apart.js"
import { type BlindSpot, demand, Problem } from "./BlindSpot.js"
import { PATIENCE, Peer } from "./Peer.js"
import type { Report, Task, Testee, TesteeClient, TesteeServer } from "./Testee.js"

/** What a scenario works with: testees of its own, raw ends of connections to them, and the end of all that. */

/** How long a whole scenario may take, in milliseconds. */
const SCENARIO = 60_000

/** How long a process may take to start, in milliseconds. */
const STARTING = 30_000

/** Header lines of a handshake: a value, several lines, or none where there would be one. */
export type Fields = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

const linesOf = (fields: Fields): string =>
  Object.entries(fields)
    .flatMap(([name, values]) => (values === undefined ? [] : [values].flat().map((value) => `${name}: ${value}\r\n`)))
    .join("")

export const KEY = "dGhlIHNhbXBsZSBub25jZQ=="

/** A client's request as text, right but for the fields that are given. RFC 6455 §4.1. */
export const requestText = (fields: Fields = {}, line = "GET / HTTP/1.1"): string => {
  const right = {
    Host: "localhost",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13"
  }
  return `${line}\r\n${linesOf({ ...right, ...fields })}\r\n`
}

/** A server's answer as text, right but for the fields that are given. RFC 6455 §4.2.2. */
export const answerText = (request: Head, fields: Fields = {}, line = "HTTP/1.1 101 Switching Protocols"): string => {
  const right = {
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Accept": acceptOf(request.headers.get("sec-websocket-key") ?? "")
  }
  return `${line}\r\n${linesOf({ ...right, ...fields })}\r\n`
}

/** A raw server, to which a testee's client connects. */
export interface Listening {
  readonly url: string
  /** The next connection, its request not read yet. */
  readonly accept: () => Promise<Peer>
}

/** An open connection: the harness's end, what the testee tells of its own, and the testee's half of the handshake. */
export interface Session {
  readonly peer: Peer
  readonly report: Report
  readonly head: Head
}

export class Bench {
  /** The testee's. */
  readonly role: Role
  /** Multiplies the time that a testee has. */
  readonly patience: number
  private readonly testee: Testee
  private readonly peers: Array<Peer> = []
  private readonly stops: Array<() => Promise<void>> = []

  constructor(testee: Testee, role: Role, patience: number) {
    this.testee = testee
    this.role = role
    this.patience = patience
  }

  /** A server of the testee's. */
  async serve(task: Task = {}): Promise<TesteeServer> {
    const server = await this.testee.serve(task)
    this.stops.push(server.stop)
    return server
  }

  /** A client of the testee's, on its way. */
  dial(url: string, task: Task = {}): TesteeClient {
    const client = this.testee.dial(url, task)
    this.stops.push(client.stop)
    return client
  }

  /** A connection to a server on which nothing is said yet. */
  async connect(port: number): Promise<Peer> {
    const socket = connect({ port, host: "127.0.0.1" })
    const peer = this.peerOf(socket, "client")
    await new Promise<void>((resolve) => socket.once("connect", resolve).once("close", () => resolve()))
    return peer
  }

  /** A connection to a server, open. */
  async upgrade(port: number, fields: Fields = {}): Promise<{ readonly peer: Peer; readonly head: Head }> {
    const peer = await this.connect(port)
    const key = randomBytes(16).toString("base64")
    peer.write(requestText({ "Sec-WebSocket-Key": key, ...fields }))
    const head = await peer.head()
    demand(/^HTTP\/1\.1 101( |$)/.test(head.start), `the answer was ${head.start}`)
    demand(head.headers.get("sec-websocket-accept") === acceptOf(key), "a wrong Sec-WebSocket-Accept")
    peer.startFraming()
    return { peer, head }
  }

  async listen(): Promise<Listening> {
    const waiting: Array<Peer> = []
    let wake = () => {}
    const server = createServer((socket) => {
      waiting.push(this.peerOf(socket, "server"))
      wake()
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    this.stops.push(() => new Promise((resolve) => server.close(() => resolve())))
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const next = async (): Promise<Peer> => {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return waiting.shift()!
    }
    return { url: `ws://127.0.0.1:${port}/`, accept: () => this.inTime("the testee's connection", next()) }
  }

  /** An open connection with the testee in the role that it is tested in; the fields are the harness's half. */
  async open(task: Task = {}, fields: Fields = {}): Promise<Session> {
    if (this.role === "server") {
      const { port, report } = await this.serve(task)
      return { report, ...(await this.upgrade(port, fields)) }
    }
    const { accept, url } = await this.listen()
    const client = this.dial(url, task)
    const peer = await accept()
    const head = await peer.head()
    peer.write(answerText(head, fields))
    peer.startFraming()
    const opening = await this.inTime("the testee's opening", client.opening)
    demand(opening._tag === "Opened", opening._tag === "Failed" ? `it did not connect: ${opening.sentence}` : "")
    return { peer, report: client.report, head }
  }

  /** As `open`, with the testee in a process of its own; `measure` tells what that used since it was last asked. */
  async openApart(
    task: Task,
    fields: Fields
  ): Promise<{ readonly peer: Peer; readonly measure: () => Promise<Usage> }> {
    const apart = startApart(this.testee)
    this.stops.push(apart.stop)
    const measure = () => this.inTime("what its process used", apart.measure())
    if (this.role === "server") {
      const port = await this.inTime("the server in a process of its own", apart.serve(task), STARTING)
      return { measure, ...(await this.upgrade(port, fields)) }
    }
    const { accept, url } = await this.listen()
    await this.inTime("the client in a process of its own", apart.dial(url, task), STARTING)
    const peer = await accept()
    peer.write(answerText(await peer.head(), fields))
    peer.startFraming()
    return { measure, peer }
  }

  /** Waits for what a testee has to bring about, not for ever. */
  inTime<A>(what: string, wanted: Promise<A>, milliseconds = PATIENCE): Promise<A> {
    return new Promise((resolve, reject) => {
      const limit = milliseconds * this.patience
      const timer = setTimeout(() => reject(new Problem(`${what} did not come within ${limit} ms`)), limit)
      wanted.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }

  /** How much later than by the clock something may be, on a machine with other things to do. */
  slack(milliseconds: number): number {
    return milliseconds * Math.max(1, this.patience)
  }

  /** Waits until something is so that is only to be looked at. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const milliseconds = PATIENCE * this.patience
    const start = performance.now()
    while (!isSo()) {
      demand(performance.now() - start < milliseconds, `${what} was not so within ${milliseconds} ms`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  private peerOf(socket: Socket, role: "client" | "server"): Peer {
    const peer = new Peer(socket, role, this.patience)
    this.peers.push(peer)
    return peer
  }

  /** Ends what the scenario has begun; a testee that leaves something behind does not end. */
  async dispose(): Promise<void> {
    for (const peer of this.peers) peer.destroy()
    await this.inTime("the end of the testee", Promise.all(this.stops.map((stop) => stop())))
  }
}

const failed = (note: string): Verdict => ({ behavior: "FAILED", behaviorClose: "FAILED", note })

/** Runs the scenarios of a testee in one of its roles. */
export const benchOf = (testee: Testee, role: Role, patience = 1) => ({
  run: async (spot: BlindSpot): Promise<Verdict> => {
    const bench = new Bench(testee, role, patience)
    const notes: Array<string> = []
    const note = (error: unknown) => {
      if (error instanceof Problem) notes.push(error.message)
      else notes.push(`the scenario itself failed: ${error instanceof Error ? error.stack : String(error)}`)
    }
    await bench.inTime("the end of the scenario", spot.run(bench), SCENARIO).catch(note)
    await bench.dispose().catch(note)
    return notes.length === 0 ? { behavior: "OK", behaviorClose: "OK", note: "" } : failed(notes.join("; "))
  }
})
