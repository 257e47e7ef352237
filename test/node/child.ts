import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"

/** Processes of their own, for what concerns a whole process. */

const program = fileURLToPath(new URL("./launched.ts", import.meta.url))

export interface Launched {
  readonly process: ChildProcess
  /** The first that it says on stdout. */
  readonly said: Effect.Effect<string>
  /** Its exit code, or the signal that ended it, and what it wrote besides. */
  readonly exit: Effect.Effect<{ readonly code: number | string; readonly output: string }>
}

/** Starts `launched.ts` with an argument; descriptors beyond the third are handed on. It is gone with the scope. */
export const launch = (
  argument: string,
  ...descriptors: ReadonlyArray<number>
): Effect.Effect<Launched, never, Scope.Scope> => launchProgram(program, { arguments: [argument], descriptors })

export interface LaunchOptions {
  readonly arguments?: ReadonlyArray<string>
  readonly descriptors?: ReadonlyArray<number>
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a program in TypeScript; it is gone with the scope. */
export const launchProgram = (
  file: string,
  { arguments: given = [], descriptors = [], env = {} }: LaunchOptions = {}
): Effect.Effect<Launched, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, ["--import", "tsx", file, ...given], {
        stdio: ["ignore", "pipe", "pipe", ...descriptors],
        env: { ...process.env, ...env }
      })
      let output = ""
      let resolve = (_: string) => {}
      const first = new Promise<string>((done) => {
        resolve = done
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text
          if (stream === child.stdout) resolve(text)
        })
      }
      const exited = once(child, "close")
      return {
        process: child,
        said: Effect.promise(() => first),
        exit: Effect.promise(async () => {
          const [code, signal] = await exited
          return { code: code ?? signal, output }
        })
      }
    }),
    (child) =>
      Effect.zipRight(
        Effect.sync(() => child.process.kill("SIGKILL")),
        child.exit
      )
  )
