import { setTimeout as sleep } from "node:timers/promises"
import { built } from "./build.js"
import { type Child, startChild, UnexpectedMessage } from "./child.js"
import type { Failed, Fault, FromLoad, FromServer, ToLoad, ToServer } from "./messages.js"
import type { WorkloadName } from "./workloads.js"

/** What can be measured, and the script that serves it. */
const scripts = {
  raw: "servers/raw",
  ws: "servers/ws",
  "effect-platform": "servers/effectPlatform",
  ours: "servers/ours",
  before: "servers/ours"
} as const

export type ServerName = keyof typeof scripts

/** Those that are always there; `before` needs another checkout. */
export const serverNames: ReadonlyArray<ServerName> = ["raw", "ws", "effect-platform", "ours"]

export const isServerName = (name: string): name is ServerName => serverNames.some((server) => server === name)

export interface Sample {
  /** CPU time of the server per message, in microseconds. The sound figure. */
  readonly serverMicros: number
  /** CPU time of the load generator per message. */
  readonly loadMicros: number
  readonly messagesPerSecond: number
}

export interface RunOptions {
  /** Length of the measured window. */
  readonly seconds: number
  /** Time for the server's code to be compiled before. */
  readonly warmUpSeconds: number
  /** Where the server `before` is: a checkout of another commit. */
  readonly before?: string | undefined
}

/** A run that has no figure, and why. */
export class RunFailed extends Error {
  readonly fault: Fault | undefined

  constructor(reason: string, fault?: Fault) {
    super(reason)
    this.fault = fault
  }
}

/** What starting, connecting and draining may take on top of the windows. */
const graceSeconds = 20

/**
 * One run: a fresh server and a fresh load generator, each on its core. At both ends of the measured window nothing is
 * in flight, so the CPU time between them is that of exactly the messages counted.
 */
export const measure = async (
  server: ServerName | "liar",
  workload: WorkloadName,
  { before: otherCheckout, seconds, warmUpSeconds }: RunOptions
): Promise<Sample> => {
  const script = server === "liar" ? "servers/liar" : scripts[server]
  const serving: Child<ToServer, FromServer> = startChild(
    0,
    built(script, server === "before" ? otherCheckout : undefined),
    [workload]
  )
  const loading: Child<ToLoad, FromLoad> = startChild(1, built("load"))
  const kill = () => Promise.all([serving.kill(), loading.kill()])

  let stage = ""
  const during = <A>(name: string, promise: Promise<A>): Promise<A> => {
    stage = name
    return promise
  }
  const limit = graceSeconds + warmUpSeconds + seconds
  let expired = false
  const deadline = setTimeout(() => {
    expired = true
    void kill()
  }, limit * 1000)

  const runFor = async (length: number) => {
    loading.send({ _tag: "Run", seconds: length })
    return loading.receive("Finished")
  }
  const serverCpu = async () => {
    serving.send({ _tag: "ReportCpu" })
    return (await serving.receive("Cpu")).micros
  }
  try {
    const { port } = await during("the server starts", serving.receive("Listening"))
    loading.send({ _tag: "Connect", port, workload })
    await during("the load generator connects", loading.receive("Connected"))
    await during("warm-up", runFor(warmUpSeconds))
    const before = await during("the server's CPU time is asked for", serverCpu())
    const { messages, seconds: elapsed, cpuMicros } = await during("the measured window", runFor(seconds))
    const after = await during("the server's CPU time is asked for again", serverCpu())
    return {
      serverMicros: (after - before) / messages,
      loadMicros: cpuMicros / messages,
      messagesPerSecond: messages / elapsed
    }
  } catch (error) {
    if (expired) throw new RunFailed(`${stage}: not over after ${limit} seconds, stopped`)
    throw await explain(stage, error, serving)
  } finally {
    clearTimeout(deadline)
    await kill()
  }
}

/** Says what was seen, by the load generator and, if the server has died of it, in the server's last words. */
const explain = async (stage: string, error: unknown, serving: Child<ToServer, FromServer>): Promise<RunFailed> => {
  if (!(error instanceof UnexpectedMessage && isFailed(error.received))) {
    return new RunFailed(`${stage}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const { fault, reason } = error.received
  // The connections end a moment before the process does.
  const died = fault === "Disconnected" ? await Promise.race([serving.ended, sleep(500)]) : undefined
  return new RunFailed(`${stage}: ${reason}${died ? `; the server: ${died.message}` : ""}`, fault)
}

const isFailed = (message: { readonly _tag: string }): message is Failed => message._tag === "Failed"
