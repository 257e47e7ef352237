import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { demand } from "./BlindSpot.js"
import type { Task, Testee } from "./Testee.js"

/** A testee in a process of its own, whose memory is its own. */

/** What the process is told. It answers each with a `Reply`. */
export type Order =
  | { readonly _tag: "Serve"; readonly task: Task }
  | { readonly _tag: "Dial"; readonly url: string; readonly task: Task }
  /** What it has used since the last such order, or its beginning. */
  | { readonly _tag: "Measure" }

export interface Usage {
  /** How much more memory it had at its peak than when that was asked before, in octets. */
  readonly grown: number
  /** Time of the processor, in milliseconds. */
  readonly busy: number
}

export type Reply =
  | { readonly _tag: "Serving"; readonly port: number }
  | { readonly _tag: "Dialling" }
  | { readonly _tag: "Used"; readonly usage: Usage }

export interface Apart {
  /** Starts a server, and gives its port. */
  readonly serve: (task: Task) => Promise<number>
  readonly dial: (url: string, task: Task) => Promise<void>
  readonly measure: () => Promise<Usage>
  readonly stop: () => Promise<void>
}

const root = fileURLToPath(new URL("../../..", import.meta.url))
const script = fileURLToPath(new URL("apartChild.ts", import.meta.url))

export const startApart = ({ home }: Testee): Apart => {
  demand(home !== undefined, "the testee cannot be started in a process of its own")
  // With little room for what is young: what the process grows by is what is held.
  const execArgv = ["--max-semi-space-size=1", "--import", "tsx"]
  const child = fork(script, [home.url, home.name], {
    cwd: root,
    execArgv,
    stdio: ["ignore", "inherit", "inherit", "ipc"]
  })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const ask = async <Tag extends Reply["_tag"]>(order: Order, tag: Tag): Promise<Extract<Reply, { _tag: Tag }>> => {
    const replied = new Promise<Reply>((resolve) => child.once("message", (reply) => resolve(reply as Reply)))
    child.send(order)
    const reply = await Promise.race([replied, ended])
    demand(reply?._tag === tag, `its process answered ${reply?._tag ?? "nothing and ended"} instead of ${tag}`)
    return reply as Extract<Reply, { _tag: Tag }>
  }
  return {
    serve: async (task) => (await ask({ _tag: "Serve", task }, "Serving")).port,
    dial: async (url, task) => void (await ask({ _tag: "Dial", url, task }, "Dialling")),
    measure: async () => (await ask({ _tag: "Measure" }, "Used")).usage,
    stop: () => {
      child.kill()
      return ended
    }
  }
}
