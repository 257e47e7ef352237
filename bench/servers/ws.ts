import { type RawData, type WebSocket, WebSocketServer } from "ws"
import { makeTally } from "../tally.js"
import { ownWorkload } from "../workloads.js"
import { listen } from "./control.js"
import { makeHttpServer } from "./upgrading.js"

const workload = ownWorkload()
const perMessageDeflate = "deflate" in workload && workload.deflate === true

const http = makeHttpServer()
const server = new WebSocketServer({ server: http, perMessageDeflate })

/** What is done with each message of a connection. */
const handler = (ws: WebSocket): ((data: RawData, isBinary: boolean) => void) => {
  switch (workload.kind) {
    case "broadcast":
      return (data, isBinary) => {
        for (const client of server.clients) client.send(data, { binary: isBinary })
      }
    case "receive": {
      const tally = makeTally(workload.every)
      return (data) => {
        const sum = tally(data.toString().length)
        if (sum !== undefined) ws.send(sum)
      }
    }
    default:
      return (data, isBinary) => ws.send(data, { binary: isBinary })
  }
}

server.on("connection", (ws) => {
  ws.on("message", handler(ws))
  ws.on("error", () => ws.terminate())
})
listen(http)
