import { cpuMicros, type FromServer, type ToServer } from "../messages.js"

const report = (message: FromServer): void => {
  process.send?.(message)
}

/** Tells the benchmark where to connect, and from then on what CPU time has been used whenever it asks. */
export const listening = (port: number): void => {
  process.on("message", (message: ToServer) => {
    switch (message._tag) {
      case "ReportCpu":
        report({ _tag: "Cpu", micros: cpuMicros() })
    }
  })
  // The benchmark is gone, so nobody is left to stop this process.
  process.on("disconnect", () => process.exit())
  report({ _tag: "Listening", port })
}
