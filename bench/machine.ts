import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { cpus, release, totalmem, type } from "node:os"
import { join } from "node:path"
import { root } from "./build.js"
import { whyUnpinned } from "./child.js"
import { pythonWith } from "./peers.js"

/** What figures depend on beside the code. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  /** Whether each process had a core of its own. */
  readonly pinned: boolean
}

export const thisMachine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() || "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release()}`,
  node: process.version,
  pinned: whyUnpinned === undefined
})

const require = createRequire(import.meta.url)

const packageVersion = (name: string): ReadonlyArray<[string, string]> => {
  const folder = (require.resolve.paths(name) ?? []).map((path) => join(path, name, "package.json"))
  for (const file of folder) {
    try {
      return [[name, JSON.parse(readFileSync(file, "utf8")).version]]
    } catch {}
  }
  return []
}

const pythonVersion = (): ReadonlyArray<[string, string]> => {
  const python = pythonWith("websockets")
  if (python === undefined) return []
  const script = "import platform, websockets; print(platform.python_version(), websockets.__version__)"
  const [language = "", module = ""] = spawnSync(python, ["-c", script], { encoding: "utf8" }).stdout.trim().split(" ")
  return [
    ["python", language],
    ["websockets", module]
  ]
}

/** Of what is compared, as it is installed here. */
export const versions = (): Readonly<Record<string, string>> => {
  const own: string = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version
  const peers = [
    "ws",
    "bufferutil",
    "effect",
    "@effect/platform",
    "@effect/platform-node",
    "@btc-vision/uwebsockets.js"
  ]
  return Object.fromEntries([["effect-websockets", own], ...peers.flatMap(packageVersion), ...pythonVersion()])
}

/** The commit that is measured; empty outside of a repository. */
export const commit = (): string => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8", stdio: "pipe" }).trim()
  } catch {
    return ""
  }
}
