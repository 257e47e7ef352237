import { spawnSync } from "node:child_process"
import { accessSync, constants } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

/** Programs that tests run and that not every machine has. */

export type Requirement =
  | "bun"
  | "chromium"
  | "danted"
  | "deno"
  | "haproxy"
  | "microsocks"
  | "nginx"
  | "openssl"
  | "python3-websockets"
  | "redis-server"
  | "squid"
  | "stunnel"
  | "tinyproxy"

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const binaries = fileURLToPath(new URL("../../node_modules/.bin", import.meta.url))

const inPath = (name: string): string | undefined =>
  [binaries, ...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin"]
    .map((folder) => join(folder, name))
    .find((file) => isExecutable(file))

/** Debian's package is for the system's Python, which need not be the first in PATH. */
const pythonWithWebsockets = (): string | undefined =>
  ["/usr/bin/python3", inPath("python3")].find(
    (python) => python !== undefined && spawnSync(python, ["-c", "import websockets"]).status === 0
  )

const places: Readonly<Record<Requirement, () => string | undefined>> = {
  bun: () => inPath("bun"),
  chromium: () => inPath("chromium"),
  danted: () => inPath("danted"),
  deno: () => inPath("deno"),
  haproxy: () => inPath("haproxy"),
  microsocks: () => inPath("microsocks"),
  nginx: () => inPath("nginx"),
  openssl: () => inPath("openssl"),
  "python3-websockets": pythonWithWebsockets,
  "redis-server": () => inPath("redis-server"),
  squid: () => inPath("squid"),
  stunnel: () => inPath("stunnel4"),
  tinyproxy: () => inPath("tinyproxy")
}

const found = new Map<Requirement, string | undefined>()

/** The program, or undefined where this machine has none; for a library, the interpreter that has it. */
export const find = (requirement: Requirement): string | undefined => {
  if (!found.has(requirement)) found.set(requirement, places[requirement]())
  return found.get(requirement)
}

/**
 * `describe` for tests that need programs. Where one is missing they are
 * skipped and the reason is printed; with `REQUIRE_ALL=1` that is a failure.
 */
export const requires =
  (...requirements: ReadonlyArray<Requirement>) =>
  (name: string, tests: () => void): void => {
    const missing = requirements.filter((requirement) => find(requirement) === undefined)
    if (missing.length === 0) {
      describe(name, tests)
      return
    }
    const reason = `not installed: ${missing.join(", ")}`
    describe.skip(`${name} (${reason})`, tests)
    if (process.env["REQUIRE_ALL"] === "1") it(`${name}: has what it needs`, () => assert.fail(reason))
    else console.warn(`skipped: ${name}, ${reason}`)
  }
