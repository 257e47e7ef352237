import { createServer, type Server } from "node:http"
import { createServer as createSecureServer } from "node:https"
import { readCertificate } from "../certificate.js"
import { responseHead } from "../upgrade.js"
import { ownWorkload } from "../workloads.js"
import { listen } from "./control.js"

/** A server of node:http, over TLS where the workload wants it. */
export const makeHttpServer = (): Server => {
  const workload = ownWorkload()
  return workload.kind === "memory" && workload.tls ? createSecureServer(readCertificate()) : createServer()
}

/** What node:http's upgrade alone costs: a 101, and `answer` to whatever comes first, then the end. `first` is for liars. */
export const serveUpgrades = (acceptOf: (key: string) => string, answer: Buffer | undefined, first?: Buffer): void => {
  const server = makeHttpServer()
  server.on("upgrade", ({ headers }, socket) => {
    socket.on("error", () => socket.destroy())
    socket.write(responseHead(acceptOf(headers["sec-websocket-key"] ?? "")))
    if (first !== undefined) setImmediate(() => socket.write(first))
    socket.on("data", () => {
      if (answer !== undefined) socket.end(answer)
    })
    // An upgraded socket stays half open when its peer ends.
    socket.on("end", () => socket.end())
  })
  listen(server)
}
