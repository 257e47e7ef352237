import { cpuMicros, type ToLoad } from "../messages.js"
import { type Workload, workloadNamed } from "../workloads.js"
import { broadcast } from "./broadcast.js"
import { exchange } from "./exchange.js"
import { handshakes } from "./handshakes.js"
import { idle } from "./idle.js"
import type { Load } from "./Load.js"
import { fail, LoadError, report } from "./link.js"
import { peer } from "./peer.js"

/**
 * The load generator, a process: raw TCP and frames encoded beforehand. It never trusts whom it measures: everything
 * that comes is checked, the first and the last.
 */

const makeLoad = async (workload: Workload, port: number): Promise<Load & { readonly port?: number }> => {
  switch (workload.kind) {
    case "echo":
    case "receive":
      return exchange(workload, port)
    case "broadcast":
      return broadcast(workload, port)
    case "client":
      return peer(workload)
    case "handshakes":
      return handshakes(workload, port)
    case "memory":
    case "arrivals":
      return idle(workload, port)
  }
}

let load: Load | undefined

const prepared = (): Load => {
  if (load === undefined) throw new Error("nothing is prepared")
  return load
}

/** Does it, and says how much it was, how long it took and what it cost. */
const timed = async (act: () => Promise<number>): Promise<void> => {
  const cpuBefore = cpuMicros()
  const start = performance.now()
  const count = await act()
  report({
    _tag: "Finished",
    count,
    seconds: (performance.now() - start) / 1000,
    cpuMicros: cpuMicros() - cpuBefore
  })
}

const obey = async (message: ToLoad): Promise<void> => {
  switch (message._tag) {
    case "Prepare": {
      const made = await makeLoad(workloadNamed(message.workload), message.port ?? 0)
      load = made
      return report({ _tag: "Prepared", port: made.port })
    }
    case "Open":
      return timed(() =>
        prepared()
          .open(message.connections)
          .then(() => message.connections)
      )
    case "Run": {
      const { run } = prepared()
      if (run === undefined) throw new Error("this workload runs nothing")
      return timed(() => run(message.seconds, message.atMost))
    }
    case "Drop": {
      const { drop } = prepared()
      if (drop === undefined) throw new Error("this workload drops nothing")
      return timed(drop)
    }
  }
}

process.on("message", (message: ToLoad) => {
  obey(message).catch((error: unknown) => {
    if (error instanceof LoadError) fail(error.fault, error.message)
    else throw error
  })
})
process.on("disconnect", () => process.exit())
