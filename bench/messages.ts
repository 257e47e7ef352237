import type { WorkloadName } from "./workloads.js"

/** What goes over the IPC channels. Both ends of each are in this folder. */

export type ToServer = { readonly _tag: "ReportCpu" }

export type FromServer =
  | { readonly _tag: "Listening"; readonly port: number }
  /** User and system time of the whole process since it began. */
  | { readonly _tag: "Cpu"; readonly micros: number }

export type ToLoad =
  | { readonly _tag: "Connect"; readonly port: number; readonly workload: WorkloadName }
  /** Keep the windows full for so long, then wait until everything sent is answered. */
  | { readonly _tag: "Run"; readonly seconds: number }

export type FromLoad = { readonly _tag: "Connected" } | Finished | Failed

/** Nothing is in flight any more: so many messages were sent and answered since `Run`. */
export interface Finished {
  readonly _tag: "Finished"
  readonly messages: number
  readonly seconds: number
  /** What the load generator itself has used. */
  readonly cpuMicros: number
}

export interface Failed {
  readonly _tag: "Failed"
  readonly fault: Fault
  readonly reason: string
}

export type Fault =
  /** A reply isn't the frame it has to be, or there are more replies than requests. */
  | "WrongReply"
  /** Nothing came for a while, although something was due. */
  | "Stalled"
  /** No connection, no upgrade, or an end nobody asked for. */
  | "Disconnected"

/** `process.cpuUsage` is getrusage: microseconds, all threads, where /proc/<pid>/stat counts ticks of 10 ms. */
export const cpuMicros = (): number => {
  const { user, system } = process.cpuUsage()
  return user + system
}
