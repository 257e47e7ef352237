import type { AddressInfo } from "node:net"
import { WebSocketServer } from "ws"
import { ownWorkload } from "../workloads.js"
import { listening } from "./control.js"

const perMessageDeflate = ownWorkload().deflate === true
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate })

server.on("listening", () => listening((server.address() as AddressInfo).port))
server.on("connection", (ws) => {
  ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }))
  ws.on("error", () => ws.terminate())
})
