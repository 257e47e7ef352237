import { readFileSync, writeFileSync } from "node:fs"
import type { Order, Reply, Usage } from "./apart.js"
import type { Testee } from "./Testee.js"

/** The process of `apart.ts`: a testee that does what it is told, and tells what it used. */

/** The kernel's own record of the most that it had, which can be begun anew; elsewhere than on Linux only what is added to it shows. */
const peak = {
  restart: (): number => {
    try {
      writeFileSync("/proc/self/clear_refs", "5")
      return process.memoryUsage.rss()
    } catch {
      return process.resourceUsage().maxRSS * 1_024
    }
  },
  read: (): number => {
    try {
      const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? []
      return Number(kibibytes) * 1_024
    } catch {
      return process.resourceUsage().maxRSS * 1_024
    }
  }
}

let memory = peak.restart()
let processor = process.cpuUsage()

const use = (): Usage => {
  const { system, user } = process.cpuUsage(processor)
  const usage = { grown: peak.read() - memory, busy: (system + user) / 1_000 }
  memory = peak.restart()
  processor = process.cpuUsage()
  return usage
}

const [, , url = "", name = ""] = process.argv
const { [name]: testee } = (await import(url)) as Readonly<Record<string, Testee | undefined>>

const obey = async (order: Order): Promise<Reply> => {
  if (testee === undefined) throw new Error(`${url} exports no ${name}`)
  switch (order._tag) {
    case "Serve":
      return { _tag: "Serving", port: (await testee.serve(order.task)).port }
    case "Dial":
      testee.dial(order.url, order.task)
      return { _tag: "Dialling" }
    case "Measure":
      return { _tag: "Used", usage: use() }
  }
}

process.on("message", (order) => {
  obey(order as Order).then((reply) => process.send?.(reply))
})
