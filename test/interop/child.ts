import { type ChildProcess, spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, FiberId, Schema, type Scope } from "effect"
import { folder } from "../node/support.js"
import { makeSigner, type Pair } from "../support/certificates.js"
import { find, type Requirement } from "../support/requirements.js"

/** Peers that are processes of their own, and the certificates that they trust and show. */

export interface Authority {
  /** A folder with `ca.pem`, `cert.pem` and `key.pem`. */
  readonly path: string
  readonly ca: string
  /** A server's, for 127.0.0.1. */
  readonly pair: Pair
}

/** An authority of our own, and what it signed. */
export const authority: Effect.Effect<Authority, never, Scope.Scope> = Effect.gen(function* () {
  const path = yield* folder
  const { ca, pair } = yield* Effect.promise(async () => {
    const { ca, sign } = await makeSigner("Interop CA")
    return { ca, pair: await sign({ names: ["127.0.0.1"] }) }
  })
  for (const [name, pem] of Object.entries({ ca, ...pair })) writeFileSync(join(path, `${name}.pem`), pem)
  return { path, ca, pair }
})

/** What a peer is told; `web.mjs` has the commands. */
export interface Command {
  readonly run: string
  /** Which of its connections. */
  readonly id?: string
  readonly [argument: string]: unknown
}

/** Tells a peer what to do, and what came of it. What it cannot do is a defect. */
export type Tell = (command: Command) => Effect.Effect<unknown>

/** Where a file of this folder is. */
export const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const Answer = Schema.parseJson(
  Schema.Union(
    Schema.Struct({ call: Schema.Number, value: Schema.Unknown }),
    Schema.Struct({ call: Schema.Number, error: Schema.String })
  )
)

/** A peer that is a process of its own, told what to do by lines on its stdin. It is gone with the scope. */
class Child {
  private readonly process: ChildProcess
  private readonly calls = new Map<number, Deferred.Deferred<unknown>>()
  private last = 0
  private complaints = ""
  readonly gone: Promise<void>

  constructor(program: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv) {
    const child = spawn(program, args, { env, stdio: "pipe" })
    this.process = child
    createInterface({ input: child.stdout }).on("line", (line) => this.answer(line))
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.complaints += text
    })
    // A process that has ended reads no more; its end says more than this.
    child.stdin.on("error", () => {})
    this.gone = new Promise((resolve) => {
      const end = (how: unknown) => {
        for (const call of this.calls.values()) Deferred.unsafeDone(call, this.dead(how))
        resolve()
      }
      child.on("error", end)
      child.on("close", (code, signal) => end(code ?? signal))
    })
  }

  private dead(how: unknown): Effect.Effect<never> {
    return Effect.dieMessage(`the peer's process ended: ${how} ${this.complaints}`)
  }

  private answer(line: string): void {
    const answer = Schema.decodeSync(Answer)(line)
    const call = this.calls.get(answer.call)
    this.calls.delete(answer.call)
    if (call === undefined) return
    const done = "error" in answer ? Effect.dieMessage(`the peer: ${answer.error}`) : Effect.succeed(answer.value)
    Deferred.unsafeDone(call, done)
  }

  readonly tell: Tell = (command) =>
    Effect.suspend(() => {
      const { exitCode, signalCode } = this.process
      if (exitCode !== null || signalCode !== null) return this.dead(exitCode ?? signalCode)
      const call = ++this.last
      const answer = Deferred.unsafeMake<unknown>(FiberId.none)
      this.calls.set(call, answer)
      this.process.stdin?.write(`${JSON.stringify({ ...command, call })}\n`)
      return Deferred.await(answer)
    })

  kill(): void {
    this.process.kill("SIGKILL")
  }
}

export interface ChildOptions {
  readonly args?: ReadonlyArray<string>
  readonly env?: (authority: Authority) => NodeJS.ProcessEnv
}

/** Starts a program, or what a requirement stands for. */
export const child =
  (program: Requirement | "node", { args = [], env = () => ({}) }: ChildOptions) =>
  (authority: Authority): Effect.Effect<Tell, never, Scope.Scope> => {
    const path = program === "node" ? process.execPath : find(program)
    if (path === undefined) return Effect.dieMessage(`${program} is not installed`)
    // Nothing of ours changes what the peer does, no proxy and no option of node's.
    const { PATH, HOME } = process.env
    return Effect.acquireRelease(
      Effect.sync(() => new Child(path, args, { PATH, HOME, INTEROP_TLS: authority.path, ...env(authority) })),
      (started) => {
        started.kill()
        return Effect.promise(() => started.gone)
      }
    ).pipe(Effect.map((started) => started.tell))
  }
