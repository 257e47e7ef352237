import net from "node:net"
import { makeFrames } from "../frames.js"
import { lastBitFlipped, makeAnswers, maskedReply, ownLie } from "../lies.js"
import { ready } from "../servers/control.js"
import { requestHead } from "../upgrade.js"
import { ownWorkload } from "../workloads.js"

/** A client that does one thing wrong, which `--self-test` must see. It counts what it gets, as bytes. */

const workload = ownWorkload()
if (workload.kind !== "client") throw new Error(`${workload.title} is not for clients`)
const frames = makeFrames(workload)
const lie = ownLie()

const honest = maskedReply(frames)

const wrongKey = (): Buffer => {
  const wrong = Buffer.from(honest)
  // The key is what stands before the payload, as long as the header is of a frame's own.
  const at = honest.length / frames.replyFrames - frames.content.length - 1
  wrong[at] = (wrong[at] ?? 0) ^ 1
  return wrong
}

const wrong = lie === "masking" ? frames.reply : lie === "wrongKey" ? wrongKey() : lastBitFlipped(honest)
const answer = makeAnswers(honest, wrong, lie === "half")

ready((port, connections) => {
  for (let i = 0; i < connections; i++) {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
    socket.on("error", () => socket.destroy())
    socket.write(requestHead("127.0.0.1", "dGhlIHNhbXBsZSBub25jZQ=="))
    let head = ""
    let pending = 0
    socket.on("data", (chunk: Buffer) => {
      if (head.includes("\r\n\r\n")) pending += chunk.length
      else {
        head += chunk.toString("latin1")
        const end = head.indexOf("\r\n\r\n")
        if (end >= 0) pending = head.length - end - 4
      }
      const complete = Math.floor(pending / frames.request.length)
      pending -= complete * frames.request.length
      if (complete > 0) socket.write(answer(complete))
    })
  }
})
