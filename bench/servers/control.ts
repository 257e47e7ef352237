import type { Server } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { cpuMicros, type FromServer, type ToServer } from "../messages.js"
import { beginProfile, endProfile } from "../profile.js"

const report = (message: FromServer): void => {
  process.send?.(message)
}

/** Collected twice, with time between for what finalizers and closed handles let go of. */
const settledMemory = async (): Promise<number> => {
  if (gc === undefined) throw new Error("started without --expose-gc")
  for (let i = 0; i < 2; i++) {
    gc()
    await sleep(300)
  }
  return process.memoryUsage.rss()
}

/** Answers whatever the benchmark asks; a client is told by it where to connect, too. */
export const controlled = (dial: (port: number, connections: number) => void = () => {}): void => {
  process.on("message", (message: ToServer) => {
    switch (message._tag) {
      case "ReportCpu":
        return report({ _tag: "Cpu", micros: cpuMicros() })
      case "ReportMemory":
        return void settledMemory().then((bytes) => report({ _tag: "Memory", bytes }))
      case "BeginProfile":
        beginProfile()
        return report({ _tag: "Profiling" })
      case "EndProfile":
        return void endProfile().then((shares) => report({ _tag: "Profiled", shares }))
      case "Dial":
        return dial(message.port, message.connections)
    }
  })
  // The benchmark is gone, so nobody is left to stop this process.
  process.on("disconnect", () => process.exit())
}

/** Tells the benchmark where to connect, and answers it from then on. */
export const listening = (port: number): void => {
  controlled()
  report({ _tag: "Listening", port })
}

/** A client under test is there. */
export const ready = (dial: (port: number, connections: number) => void): void => {
  controlled(dial)
  report({ _tag: "Ready" })
}

/** Listens on any port of the loopback, and says which. */
export const listen = (server: Server): void => {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    if (typeof address === "object" && address !== null) listening(address.port)
  })
}
