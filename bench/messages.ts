import type { Shares } from "./profile.js"

/** What goes over the IPC channels. Both ends of each are in this folder. */

/** To the process under test. */
export type ToServer =
  | { readonly _tag: "ReportCpu" }
  /** Collects garbage first. */
  | { readonly _tag: "ReportMemory" }
  | { readonly _tag: "BeginProfile" }
  | { readonly _tag: "EndProfile" }
  /** A client only: connects so often. */
  | { readonly _tag: "Dial"; readonly port: number; readonly connections: number }

export type FromServer =
  | { readonly _tag: "Listening"; readonly port: number }
  /** A client only: it waits for `Dial`. */
  | { readonly _tag: "Ready" }
  /** User and system time of the whole process since it began. */
  | { readonly _tag: "Cpu"; readonly micros: number }
  /** Resident memory. */
  | { readonly _tag: "Memory"; readonly bytes: number }
  | { readonly _tag: "Profiling" }
  | { readonly _tag: "Profiled"; readonly shares: Shares }

export type ToLoad =
  /** Where the server under test is; where a client is under test the load generator listens itself. */
  | { readonly _tag: "Prepare"; readonly workload: string; readonly port: number | undefined }
  /** So many connections more. */
  | { readonly _tag: "Open"; readonly connections: number }
  /** Keep the windows full for so long, or for so much, then wait until everything sent is answered. */
  | { readonly _tag: "Run"; readonly seconds: number; readonly atMost: number | undefined }
  /** End all connections and wait until the server has ended them too. */
  | { readonly _tag: "Drop" }

export type FromLoad = { readonly _tag: "Prepared"; readonly port: number | undefined } | Finished | Failed

/** What `Open`, `Run` or `Drop` has done; nothing is in flight any more. */
export interface Finished {
  readonly _tag: "Finished"
  /** Messages, deliveries, handshakes, connections. */
  readonly count: number
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
  /** What comes isn't what it has to be, or there is more of it than was asked for. */
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
