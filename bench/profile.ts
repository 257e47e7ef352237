import { type Profiler, Session } from "node:inspector"

/**
 * Where the CPU time of a process goes, by V8's sampling profiler: whose code is on top of the stack. What the system
 * does for a write counts as write; its reads and polls happen outside of any JavaScript, in libuv's loop.
 */

export const parts = [
  "read, poll",
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

/** Of each part the share of the time in which the process was not idle. */
export type Shares = Readonly<Partial<Record<Part, number>>>

const samplingMicros = 200

const session = new Session()

export const beginProfile = (): void => {
  session.connect()
  session.post("Profiler.enable")
  session.post("Profiler.setSamplingInterval", { interval: samplingMicros })
  session.post("Profiler.start")
}

export const endProfile = (): Promise<Shares> =>
  new Promise((resolve, reject) => {
    session.post("Profiler.stop", (error, result) => {
      session.disconnect()
      if (error === null) resolve(sharesOf(result.profile))
      else reject(error)
    })
  })

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

/** Where bare V8 functions and methods of node's own handles are: nowhere. */
const nativePart = (name: string): Part | undefined => {
  if (name === "(idle)" || name === "(root)") return undefined
  if (name === "(program)") return "read, poll"
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

export const sharesOf = ({ nodes, samples = [] }: Pick<Profiler.Profile, "nodes" | "samples">): Shares => {
  const partOfId = new Map(nodes.map(({ callFrame, id }) => [id, partOf(callFrame)]))
  const counts: Partial<Record<Part, number>> = {}
  let all = 0
  for (const id of samples) {
    const part = partOfId.get(id)
    if (part === undefined) continue
    counts[part] = (counts[part] ?? 0) + 1
    all++
  }
  return Object.fromEntries(Object.entries(counts).map(([part, count]) => [part, count / all]))
}
