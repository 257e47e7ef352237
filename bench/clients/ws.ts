import { WebSocket } from "ws"
import { contentOf } from "../frames.js"
import { ready } from "../servers/control.js"
import { makeTally } from "../tally.js"
import { ownClient } from "./own.js"

const { direction, every, message } = ownClient()
const binary = message.type === "binary"
const content = contentOf(message)
const said = binary ? content : content.toString()

ready((port, connections) => {
  for (let i = 0; i < connections; i++) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false })
    const tally = makeTally(every)
    ws.on("message", (data) => {
      if (direction === "send") {
        for (let sent = 0; sent < every; sent++) ws.send(said)
        return
      }
      const sum = tally((binary && Buffer.isBuffer(data) ? data : data.toString()).length)
      if (sum !== undefined) ws.send(sum)
    })
  }
})
