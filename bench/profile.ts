import { type Profiler, Session } from "node:inspector"

/**
 * Where the CPU time of a process goes: whose code V8's sampling profiler finds on top of the stack. What the system does for
 * a write counts as write. Reads and polls happen in libuv's loop, which the profiler takes for idle, and other threads it
 * does not see at all: theirs is what is left of the CPU time of the process.
 */

export const parts = [
  "read, poll, threads",
  "write",
  "zlib",
  "collector",
  "node",
  "V8",
  "wasm",
  "effect",
  "ws",
  "here",
  "handler"
] as const

export type Part = (typeof parts)[number]

/** Of each part the share of the CPU time. */
export type Shares = Readonly<Partial<Record<Part, number>>>

const samplingMicros = 200

const session = new Session()
let before: NodeJS.CpuUsage

export const beginProfile = (): void => {
  session.connect()
  session.post("Profiler.enable")
  session.post("Profiler.setSamplingInterval", { interval: samplingMicros })
  session.post("Profiler.start")
  before = process.cpuUsage()
}

export const endProfile = (): Promise<Shares> => {
  const { system, user } = process.cpuUsage(before)
  return new Promise((resolve, reject) => {
    session.post("Profiler.stop", (error, result) => {
      session.disconnect()
      if (error === null) resolve(sharesOf(result.profile, system + user))
      else reject(error)
    })
  })
}

/** Methods of node's handles, in which the system writes. */
const writes = new Set([
  "writev",
  "writeBuffer",
  "writeLatin1String",
  "writeUtf8String",
  "writeAsciiString",
  "writeUcs2String",
  "shutdown"
])

/** Methods of a handle of zlib's; where it works in another thread it is under nobody's name here. */
const deflates = new Set(["write", "writeSync"])

/** Bare V8 functions and methods of node's own handles are in no file; what runs no JavaScript is left for the rest. */
const nativePart = (name: string): Part | undefined => {
  if (name === "(idle)" || name === "(root)" || name === "(program)") return undefined
  if (name === "(garbage collector)") return "collector"
  if (writes.has(name)) return "write"
  return deflates.has(name) ? "zlib" : "V8"
}

export const partOf = ({ functionName, url }: Pick<Profiler.ProfileNode["callFrame"], "functionName" | "url">) => {
  if (url === "") return nativePart(functionName)
  if (url.startsWith("wasm:")) return "wasm"
  if (url.startsWith("node:")) return "node"
  if (url.includes("/node_modules/ws/")) return "ws"
  if (/\/node_modules\/(@effect\/|effect\/)/.test(url)) return "effect"
  return url.includes("/bench/") || url.includes("/node_modules/") ? "handler" : "here"
}

export const sharesOf = (
  { nodes, samples = [], timeDeltas = [] }: Pick<Profiler.Profile, "nodes" | "samples" | "timeDeltas">,
  cpuMicros: number
): Shares => {
  const partOfId = new Map(nodes.map(({ callFrame, id }) => [id, partOf(callFrame)]))
  const times: Partial<Record<Part, number>> = {}
  let rest = cpuMicros
  samples.forEach((id, i) => {
    const part = partOfId.get(id)
    if (part === undefined) return
    // A sample stands for the time until the next one.
    const time = timeDeltas[i + 1] ?? 0
    times[part] = (times[part] ?? 0) + time
    rest -= time
  })
  const all = { "read, poll, threads": Math.max(0, rest), ...times }
  return Object.fromEntries(Object.entries(all).map(([part, time]) => [part, time / cpuMicros]))
}
