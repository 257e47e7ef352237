import type { Bench } from "./Bench.js"
import { demand } from "./BlindSpot.js"
import type { Peer } from "./Peer.js"
import type { Task, TesteeServer } from "./Testee.js"

/** Requests that a server has to refuse, and how. */

export interface Refusal {
  readonly status: number
  /** Names in lower case; a list has to have the value as a member. */
  readonly headers?: Readonly<Record<string, string>>
}

const lists = (value: string | undefined, member: string): boolean =>
  (value ?? "").split(",").some((item) => item.trim().toLowerCase() === member.toLowerCase())

/** The answer to what was asked refuses, says why in a sentence, and TCP is over behind it. */
export const seesRefusal = async (peer: Peer, { headers = {}, status }: Refusal): Promise<void> => {
  const head = await peer.head()
  demand(new RegExp(`^HTTP/1\\.1 ${status}( |$)`).test(head.start), `the answer was ${head.start}, not ${status}`)
  for (const [name, value] of Object.entries(headers)) {
    demand(lists(head.headers.get(name), value), `${name} was ${head.headers.get(name)}, not ${value}`)
  }
  const body = await peer.body()
  demand(/^[A-Z].* .*[.!]\s*$/s.test(body), `the body is no sentence: ${JSON.stringify(body.slice(0, 80))}`)
  const length = head.headers.get("content-length")
  demand(length === undefined || Number(length) === Buffer.byteLength(body), `Content-Length is ${length}`)
}

/** The answer to what was asked is 101, and what is said then is echoed. */
export const opens = async (peer: Peer): Promise<void> => {
  const { start } = await peer.head()
  demand(/^HTTP\/1\.1 101( |$)/.test(start), `the answer was ${start}, not 101`)
  peer.startFraming()
  await peer.echoes("let in")
}

/** A server gives the next client its echo, whatever another has done to it. */
export const stillServes = async (bench: Bench, { port }: TesteeServer): Promise<void> => {
  const { peer } = await bench.upgrade(port)
  await peer.echoes("still there?")
  peer.close(1000)
  await peer.rest()
}

/** A server refuses this request, and lives. */
export const isRefused = async (bench: Bench, request: string, refusal: Refusal, task: Task = {}): Promise<void> => {
  const server = await bench.serve(task)
  const peer = await bench.connect(server.port)
  peer.write(request)
  await seesRefusal(peer, refusal)
  // A hook that fails does so for everybody.
  if (task.hookFails !== true) await stillServes(bench, server)
}

/** A server says 101 to this request, and echoes. */
export const isAccepted = async (bench: Bench, request: string, task: Task = {}): Promise<void> => {
  const { port } = await bench.serve(task)
  const peer = await bench.connect(port)
  peer.write(request)
  await opens(peer)
}
