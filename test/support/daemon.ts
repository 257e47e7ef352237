import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, connect as netConnect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import { find, type Requirement } from "./requirements.js"

/** Servers of other projects, each a process that is gone with the scope. */

export interface Daemon {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number
}

export interface DaemonOptions {
  /** What it is called with, its files being in that folder. */
  readonly args: (folder: string, port: number) => ReadonlyArray<string>
  /** Its files. */
  readonly files?: (folder: string, port: number) => Readonly<Record<string, string>>
}

/** A port that was free a moment ago: these programs take no 0. */
const freePort = Effect.promise(async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
})

/** A folder that a program can read which gives up its rights. */
const openFolder = Effect.acquireRelease(
  Effect.sync(() => {
    const path = mkdtempSync(join(tmpdir(), "daemon-"))
    chmodSync(path, 0o755)
    return path
  }),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const accepts = (port: number): Effect.Effect<void, Error> =>
  Effect.async((resume) => {
    const socket = netConnect(port, "127.0.0.1")
    socket.on("error", (error) => resume(Effect.fail(error)))
    socket.on("connect", () => socket.destroy())
    // Only now nothing of it is left, which tests look for.
    socket.on("close", (hasFailed) => hasFailed || resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

/** Starts a program, with all that it starts itself, and says how it ends. */
const launch = (program: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(program, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] })
      let said = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          said += text
        })
      }
      const ended = new Promise<string>((resolve) => {
        child.on("error", (error) => resolve(error.message))
        child.on("exit", (code, signal) => resolve(`${code ?? signal}: ${said}`))
      })
      return { pid: child.pid, ended }
    }),
    ({ pid, ended }) =>
      Effect.promise(() => {
        try {
          if (pid !== undefined) process.kill(-pid, "SIGKILL")
        } catch {
          // It has ended before.
        }
        return ended
      })
  )

/** Starts a program that listens on a port, and waits until it does. */
export const daemon = (
  requirement: Requirement,
  { args, files = () => ({}) }: DaemonOptions
): Effect.Effect<Daemon, never, Scope.Scope> =>
  Effect.gen(function* () {
    const program = find(requirement)
    if (program === undefined) return yield* Effect.dieMessage(`${requirement} is not installed`)
    const folder = yield* openFolder
    const port = yield* freePort
    for (const [name, content] of Object.entries(files(folder, port))) {
      writeFileSync(join(folder, name), content, { mode: 0o644 })
    }
    const { ended } = yield* launch(program, args(folder, port))
    const ready = accepts(port).pipe(
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => new Error(`${requirement} does not listen`) })
    )
    const dead = Effect.flatMap(
      Effect.promise(() => ended),
      (how) => Effect.fail(new Error(`${requirement} ended: ${how}`))
    )
    yield* Effect.raceFirst(ready, dead)
    return { port }
  }).pipe(
    // Somebody else may have taken the port in between.
    Effect.retry({ times: 2 }),
    Effect.orDie
  )
