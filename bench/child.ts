import { spawn, spawnSync } from "node:child_process"

/** A process of the benchmark on a core of its own, with a channel both ways. */
export interface Child<Out, In extends Tagged> {
  readonly send: (message: Out) => void
  /** The next message, which must have this tag. Rejects when it has another, and when the process is over. */
  readonly receive: <Tag extends In["_tag"]>(tag: Tag) => Promise<Extract<In, { readonly _tag: Tag }>>
  /** Completes when the process is gone, with how it ended. */
  readonly ended: Promise<Error>
  readonly kill: () => Promise<unknown>
}

interface Tagged {
  readonly _tag: string
}

/** Instead of the message that was waited for came another. */
export class UnexpectedMessage extends Error {
  readonly received: Tagged

  constructor(received: Tagged) {
    super(`unexpected message ${JSON.stringify(received)}`)
    this.received = received
  }
}

const hasTag = <M extends Tagged, Tag extends M["_tag"]>(
  message: M,
  tag: Tag
): message is Extract<M, { readonly _tag: Tag }> => message._tag === tag

const works = (core: number): boolean => spawnSync("taskset", ["-c", String(core), "true"]).status === 0

/** Undefined when processes can be pinned, else what to tell about it. */
export const whyUnpinned: string | undefined = works(0)
  ? works(1)
    ? undefined
    : "there is one core only"
  : "taskset is missing or core 0 is not ours"

export interface Program {
  /** The interpreter and its options; this Node unless told otherwise. */
  readonly command?: ReadonlyArray<string>
  readonly script: string
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

export const startChild = <Out extends Tagged, In extends Tagged>(
  core: number,
  { args = [], command = [process.execPath], env = {}, script }: Program
): Child<Out, In> => {
  const whole = [...command, script, ...args]
  // taskset replaces itself by the program, so the channel and the process id are the program's.
  const [program = "", ...rest] = whyUnpinned === undefined ? ["taskset", "-c", String(core), ...whole] : whole
  const child = spawn(program, rest, { stdio: ["ignore", "inherit", "pipe", "ipc"], env: { ...process.env, ...env } })

  const messages: Array<In> = []
  let wake = (): void => {}
  let over: Error | undefined
  let stderr = ""

  const ended = new Promise<Error>((resolve) => {
    const end = (how: string): void => {
      over = new Error(how)
      wake()
      resolve(over)
    }
    child.on("error", (error) => end(`${program} could not be started: ${error.message}`))
    child.on("close", (code, signal) => end(`it ended by itself (${signal ?? `exit ${code}`})${cause(stderr)}`))
  })
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-4000)
  })
  // Both ends of the channel are in this folder, so a message is what messages.ts says.
  child.on("message", (message) => {
    messages.push(message as In)
    wake()
  })

  const next = async (): Promise<In> => {
    for (;;) {
      const message = messages.shift()
      if (message !== undefined) return message
      if (over !== undefined) throw over
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  return {
    // A process that is gone says so in `receive`.
    send: (message) => void child.send(message, () => {}),
    receive: async (tag) => {
      const message = await next()
      if (hasTag(message, tag)) return message
      throw new UnexpectedMessage(message)
    },
    ended,
    kill: () => {
      child.kill("SIGKILL")
      return ended
    }
  }
}

/** The line of a crash report that says what it was. */
const cause = (stderr: string): string => {
  const lines = stderr.trim().split("\n")
  const line = lines.find((text) => /^\S*(Error|Exception)\b.*:/.test(text)) ?? lines.at(-1)
  return line ? `: ${line}` : ""
}
