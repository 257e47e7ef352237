import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import type { Workload } from "./workloads.js"

interface Peer {
  /** The script in `bench/servers`, and in `bench/clients` where it has a client. */
  readonly server: string
  readonly client?: string
  /** What the script is told beside the workload. */
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** A module of Python, for which the script is. */
  readonly python?: string
  /** A package that the project does not bring along, or whose native part may be missing. */
  readonly needs?: string
  /** A function of that package, which has a slower stand-in where its native part is missing. */
  readonly native?: string
}

// No native addon helps ws unless it is asked for: the figures are those of a plain installation.
const plain = { WS_NO_BUFFER_UTIL: "1" }

const peers = {
  raw: { server: "raw", client: "raw" },
  ws: { server: "ws", client: "ws", env: plain },
  "ws-bufferutil": { server: "ws", client: "ws", env: { WS_NO_BUFFER_UTIL: "" }, needs: "bufferutil", native: "mask" },
  "effect-socket": { server: "effectSocket", env: plain },
  "effect-http": { server: "effectHttp", env: plain },
  python: { server: "python", python: "websockets" },
  uws: { server: "uws", needs: "@btc-vision/uwebsockets.js" },
  ours: { server: "ours", client: "ours", args: ["runForEach"] },
  "ours-loop": { server: "ours", args: ["loop"] },
  "ours-stream": { server: "ours", args: ["stream"] },
  before: { server: "ours", client: "ours", args: ["runForEach"] }
} as const satisfies Record<string, Peer>

export type ServerName = keyof typeof peers

const names = Object.keys(peers).filter((name): name is ServerName => Object.hasOwn(peers, name))

/** Those that are asked for by name; `before` needs another checkout. */
export const serverNames: ReadonlyArray<ServerName> = names.filter((name) => name !== "before")

export const isServerName = (name: string): name is ServerName => serverNames.some((server) => server === name)

export const peerNamed = (name: ServerName): Peer => peers[name]

const succeeds = (command: string, args: ReadonlyArray<string>): boolean => spawnSync(command, args).status === 0

/** The interpreter that has a module: the first on the path, or the system's own. */
export const pythonWith = (module: string): string | undefined =>
  ["python3", "/usr/bin/python3"].find((python) => succeeds(python, ["-c", `import ${module}`]))

const require = createRequire(import.meta.url)

/** Why it can't be measured on this machine; undefined where it can. */
export const whyAbsent = (name: ServerName): string | undefined => {
  const { native, needs, python }: Peer = peers[name]
  if (python !== undefined && pythonWith(python) === undefined) {
    return `python3 has no module ${python} (Debian: python3-${python})`
  }
  if (needs === undefined) return undefined
  try {
    require.resolve(needs)
  } catch {
    return `${needs} is not installed (npm install --no-save --no-package-lock ${needs})`
  }
  // Native code may be for another system.
  const isNative = native === undefined ? "true" : `/native code/.test(used.${native})`
  const script = `const used = require("${needs}"); if (!${isNative}) throw new Error("its native part is missing")`
  const { status, stderr } = spawnSync(process.execPath, ["-e", script], { cwd: import.meta.dirname })
  if (status === 0) return undefined
  return `${needs} does not load: ${String(stderr).match(/^(?!.*supports only)\w*Error: .*$/m)?.[0] ?? "no reason"}`
}

/** Whether it has anything to say in a workload. */
export const takesPart = (name: ServerName, { kind, ...workload }: Workload): boolean => {
  const peer: Peer = peers[name]
  if (kind === "client") return peer.client !== undefined
  // The one would not compress, and the other can't be told to.
  return !("deflate" in workload && (name === "raw" || name === "effect-http"))
}
