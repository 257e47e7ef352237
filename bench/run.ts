import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { built, root } from "./build.js"
import { type Child, startChild, UnexpectedMessage } from "./child.js"
import type { Lie } from "./lies.js"
import type { Failed, Fault, Finished, FromLoad, FromServer, ToLoad, ToServer } from "./messages.js"
import { peerNamed, pythonWith, type ServerName } from "./peers.js"
import type { Shares } from "./profile.js"
import { type Workload, workloadNamed } from "./workloads.js"

export interface Sample {
  /**
   * What is compared: CPU time of the process under test, in microseconds per message, delivery, handshake or
   * connection, or its memory in bytes per connection.
   */
  readonly cost: number
  /** CPU time of the load generator for the same, in microseconds. */
  readonly load: number
  /** Messages, deliveries, handshakes or connections in a second. */
  readonly perSecond: number
  /** The same cost in a fresh process's first second, where that is another thing. */
  readonly cold?: number
  /** Where the time has gone, if that was asked for. */
  readonly shares?: Shares
}

export interface RunOptions {
  /** Length of the measured window. */
  readonly seconds: number
  /** Time for the code under test to be compiled before. */
  readonly warmUpSeconds: number
  /** Handshakes that are made for the same end. */
  readonly handshakes: number
  /** Where the library of `before` is: a checkout of another commit. */
  readonly before?: string | undefined
  /** With a profiler at work in the process under test. It takes time itself, so such a sample is compared with no other. */
  readonly profile?: boolean | undefined
}

/** A run that has no figure, and why. */
export class RunFailed extends Error {
  readonly fault: Fault | undefined

  constructor(reason: string, fault?: Fault) {
    super(reason)
    this.fault = fault
  }
}

/** What starting and draining may take on top of the windows, and opening a connection. The load generator sees earlier that nothing happens. */
const graceSeconds = 40
const secondsPerConnection = 0.02

/** What can be asked of the two processes while one run lasts. */
interface Session {
  readonly open: (connections: number) => Promise<Finished>
  readonly run: (stage: string, seconds: number, atMost?: number) => Promise<Finished>
  readonly drop: () => Promise<Finished>
  /** CPU time in microseconds and memory in bytes of the process under test. */
  readonly cpu: () => Promise<number>
  readonly memory: () => Promise<number>
  /** Nothing where no profile is wanted. */
  readonly beginProfile: () => Promise<unknown>
  readonly endProfile: () => Promise<Shares | undefined>
}

/** CPU time per message while something is done; at both ends of it nothing is in flight. */
const costOf = async (session: Session, act: () => Promise<Finished>): Promise<Sample> => {
  await session.beginProfile()
  const before = await session.cpu()
  const { count, seconds, cpuMicros } = await act()
  const after = await session.cpu()
  const shares = await session.endProfile()
  if (count === 0) throw new RunFailed("nothing was done in the measured window")
  const sample = { cost: (after - before) / count, load: cpuMicros / count, perSecond: count / seconds }
  return shares === undefined ? sample : { ...sample, shares }
}

/** Handshakes of the first second; then as many as it takes until nothing is compiled any more. */
const measureHandshakes = async (session: Session, { handshakes, seconds }: RunOptions): Promise<Sample> => {
  const { cost: cold } = await costOf(session, () => session.run("the first second", 1))
  await session.run("warm-up", warmUpLimit, handshakes)
  return { ...(await costOf(session, () => session.run("the measured window", seconds))), cold }
}

/** In seconds, for those that take a millisecond for a handshake. */
const warmUpLimit = 15

/** Connections that are there before the first reading: what the first ones allocate for all of them isn't counted. */
const settledConnections = 500

const measureMemory = async (session: Session, connections: number): Promise<Sample> => {
  await session.open(settledConnections)
  const before = await session.memory()
  const { seconds, cpuMicros } = await session.open(connections)
  const after = await session.memory()
  return {
    cost: (after - before) / connections,
    load: cpuMicros / connections,
    perSecond: connections / seconds
  }
}

const measureSteps = async (session: Session, workload: Workload, options: RunOptions): Promise<Sample> => {
  switch (workload.kind) {
    case "handshakes":
      return measureHandshakes(session, options)
    case "memory":
      return measureMemory(session, workload.connections)
    case "arrivals": {
      const { connections, measured } = workload
      // Once without looking, so that code is compiled.
      await session.open(connections)
      await session.drop()
      const accept = await costOf(session, () => session.open(connections))
      return measured === "accept" ? accept : costOf(session, () => session.drop())
    }
    default:
      await session.open(workload.connections)
      await session.run("warm-up", options.warmUpSeconds)
      return costOf(session, () => session.run("the measured window", options.seconds))
  }
}

type Serving = Child<ToServer, FromServer>
type Loading = Child<ToLoad, FromLoad>

const program = (name: ServerName | "liar", workload: string, lie: Lie | undefined, before: string | undefined) => {
  const { kind } = workloadNamed(workload)
  const side = kind === "client" ? "clients" : "servers"
  if (name === "liar") return { script: built(`${side}/liar`), args: [workload, lie ?? ""] }
  const { args = [], client, env = {}, python, server } = peerNamed(name)
  if (python !== undefined) {
    const command = [pythonWith(python) ?? "python3"]
    return {
      command,
      script: join(root, "bench", "servers", "python.py"),
      args: [JSON.stringify(workloadNamed(workload))]
    }
  }
  const script = built(`${side}/${kind === "client" ? client : server}`, name === "before" ? before : undefined)
  const command = kind === "memory" ? [process.execPath, "--expose-gc"] : [process.execPath]
  return { command, script, args: [workload, ...args], env }
}

/** One run: a fresh process under test and a fresh load generator, each on its core. */
export const measure = async (
  name: ServerName | "liar",
  workload: string,
  options: RunOptions,
  lie?: Lie
): Promise<Sample> => {
  const serving: Serving = startChild(0, program(name, workload, lie, options.before))
  const loading: Loading = startChild(1, { script: built("load/main") })
  const kill = () => Promise.all([serving.kill(), loading.kill()])

  let stage = ""
  const during = <A>(name: string, promise: Promise<A>): Promise<A> => {
    stage = name
    return promise
  }
  const opening = secondsPerConnection * workloadNamed(workload).connections
  const limit = Math.ceil(graceSeconds + opening + warmUpLimit + options.warmUpSeconds + options.seconds)
  let expired = false
  const deadline = setTimeout(() => {
    expired = true
    void kill()
  }, limit * 1000)

  const load = (name: string, message: ToLoad) => {
    loading.send(message)
    return during(name, loading.receive("Finished"))
  }
  const session: Session = {
    open: (connections) => load("connections are opened", { _tag: "Open", connections }),
    run: (name, seconds, atMost) => load(name, { _tag: "Run", seconds, atMost }),
    drop: () => load("connections are ended", { _tag: "Drop" }),
    cpu: async () => {
      serving.send({ _tag: "ReportCpu" })
      return (await during("CPU time is asked for", serving.receive("Cpu"))).micros
    },
    memory: async () => {
      serving.send({ _tag: "ReportMemory" })
      return (await during("memory is asked for", serving.receive("Memory"))).bytes
    },
    beginProfile: async () => {
      if (!options.profile) return
      serving.send({ _tag: "BeginProfile" })
      await during("a profile begins", serving.receive("Profiling"))
    },
    endProfile: async () => {
      if (!options.profile) return undefined
      serving.send({ _tag: "EndProfile" })
      return (await during("a profile ends", serving.receive("Profiled"))).shares
    }
  }
  try {
    await during("the start", meet(serving, loading, workload))
    return await measureSteps(session, workloadNamed(workload), options)
  } catch (error) {
    if (expired) throw new RunFailed(`${stage}: not over after ${limit} seconds, stopped`)
    throw await explain(stage, error, serving)
  } finally {
    clearTimeout(deadline)
    await kill()
  }
}

/** Tells the one where the other listens. */
const meet = async (serving: Serving, loading: Loading, workload: string): Promise<void> => {
  const shape = workloadNamed(workload)
  const isClient = shape.kind === "client"
  const port = isClient ? undefined : (await serving.receive("Listening")).port
  loading.send({ _tag: "Prepare", workload, port })
  const prepared = await loading.receive("Prepared")
  if (!isClient || prepared.port === undefined) return
  await serving.receive("Ready")
  serving.send({ _tag: "Dial", port: prepared.port, connections: shape.connections })
}

/** Says what was seen, by the load generator and, if the process under test has died of it, in its last words. */
const explain = async (stage: string, error: unknown, serving: Serving): Promise<RunFailed> => {
  if (!(error instanceof UnexpectedMessage && isFailed(error.received))) {
    return new RunFailed(`${stage}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const { fault, reason } = error.received
  // The connections end a moment before the process does.
  const died = fault === "Disconnected" ? await Promise.race([serving.ended, sleep(500)]) : undefined
  return new RunFailed(`${stage}: ${reason}${died ? `; the process under test: ${died.message}` : ""}`, fault)
}

const isFailed = (message: { readonly _tag: string }): message is Failed => message._tag === "Failed"
