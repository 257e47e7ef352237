import { connect, createServer, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { Case } from "./Case.js"
import { Deflate } from "./Deflate.js"
import type { Agreement } from "./extensions.js"
import { Fuzzer, type Observation } from "./Fuzzer.js"
import { request, requested } from "./handshake.js"
import { interpret } from "./interpret.js"
import { judge, type Verdict } from "./judge.js"
import type { ClientTarget } from "./targets.js"

/** One case on one TCP connection, in either role. */

export type Role = "server" | "client"

/** How long an opening handshake may take, in milliseconds. */
const OPENING = 10_000

/** How long a client may take to be through when its connection is over, in milliseconds. */
const ENDING = 5_000

const refusal = (refused: string): Observation => ({
  refused,
  isAgreed: true,
  events: [],
  closedBy: undefined,
  closeReceived: undefined,
  dropped: false,
  fault: undefined,
  partsSent: 0,
  timedOut: false,
  echoes: 0
})

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Resets are one of the ways in which a testee drops TCP. */
const prepared = (socket: Socket): Socket => socket.setNoDelay(true).on("error", () => {})

interface Opened {
  readonly socket: Socket
  /** The harness's own. */
  readonly role: Role
  /** What came behind the handshake. */
  readonly rest: Uint8Array
  readonly agreement: Agreement | undefined
}

/** A case about what was not agreed on is over at once. */
const play = async (test: Case, opened: Opened, patience: number): Promise<Observation> => {
  const { agreement, rest, role, socket } = opened
  const deflate = agreement === undefined ? undefined : new Deflate(agreement)
  const fuzzer = new Fuzzer(socket, role, rest, deflate, patience)
  const isAgreed = test.deflate === undefined || agreement !== undefined
  const played = isAgreed ? test : { ...test, steps: [], expected: [] }
  return { ...(await interpret(played, fuzzer, role === "client", patience)), isAgreed }
}

export interface Runner {
  readonly role: Role
  readonly run: (test: Case) => Promise<Verdict>
  readonly stop: () => Promise<void>
}

/** Tests the server that listens on a port. */
export const againstServer = (port: number, patience = 1): Runner => ({
  role: "server",
  stop: async () => {},
  run: async (test) => {
    const socket = prepared(connect({ port, host: "127.0.0.1" }))
    try {
      const asked = { host: `127.0.0.1:${port}`, path: "/", deflate: test.deflate, milliseconds: OPENING }
      const { agreement, rest } = await request(socket, asked)
      return judge(test, await play(test, { socket, role: "client", rest, agreement }, patience), "server")
    } catch (error) {
      return judge(test, refusal(reasonOf(error)), "server")
    } finally {
      socket.destroy()
    }
  }
})

interface Waiting {
  readonly test: Case
  readonly settle: (seen: Observation) => void
}

const serve = async (socket: Socket, waiting: Map<string, Waiting>, patience: number): Promise<void> => {
  try {
    const { accept, answer, path, rest } = await requested(socket, OPENING)
    const found = waiting.get(path)
    if (found === undefined) throw new Error(`nobody waits for ${path}`)
    const { test } = found
    const answered = test.deflate === undefined ? undefined : answer(test.deflate)
    waiting.delete(path)
    accept(answered?.header)
    const opened = { socket, role: "server", rest, agreement: answered?.agreement } as const
    found.settle(await play(test, opened, patience))
  } finally {
    socket.destroy()
  }
}

/** Tests a client, which is told for each case where to connect. */
export const againstClient = async (target: ClientTarget, patience = 1): Promise<Runner> => {
  const waiting = new Map<string, Waiting>()
  const refused: Array<string> = []
  const server = createServer((socket) => {
    serve(prepared(socket), waiting, patience).catch((error: unknown) => refused.push(reasonOf(error)))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  let runs = 0
  return {
    role: "client",
    stop: () => new Promise((resolve) => server.close(() => resolve())),
    run: async (test) => {
      const path = `/${test.id}/${runs++}`
      const seen = new Promise<Observation>((settle) => waiting.set(path, { test, settle }))
      const over = target.connect(`ws://127.0.0.1:${port}${path}`)
      // A client that is through without having been heard never finished its handshake.
      const never = over.then(() => (waiting.delete(path) ? refusal(refused.at(-1) ?? "the client never asked") : seen))
      const verdict = judge(test, await Promise.race([seen, never]), "client")
      const isThrough = await Promise.race([over.then(() => true), sleep(ENDING * patience, false, { ref: false })])
      return isThrough ? verdict : { ...verdict, behaviorClose: "FAILED", note: "it did not end with its connection" }
    }
  }
}
