import net from "node:net"
import { type Frames, makeFrames } from "../frames.js"
import { ready } from "../servers/control.js"
import { requestHead } from "../upgrade.js"
import { ownClient } from "./own.js"

/**
 * A client on bare node:net that knows beforehand what comes: it counts the bytes, and for so many complete requests
 * `answer` says what to write. Shared by `raw` and `liar`.
 */
export const dialCounting = (makeAnswer: (frames: Frames, window: number) => (requests: number) => Buffer): void => {
  const workload = ownClient()
  const frames = makeFrames(workload)
  const answer = makeAnswer(frames, workload.window)
  ready((port, connections) => {
    for (let i = 0; i < connections; i++) dial(port, frames.request.length, answer)
  })
}

const dial = (port: number, requestLength: number, answer: (requests: number) => Buffer): void => {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
  socket.on("error", () => socket.destroy())
  socket.write(requestHead("127.0.0.1", "dGhlIHNhbXBsZSBub25jZQ=="))
  let pending = 0
  const take = (length: number): void => {
    pending += length
    const complete = Math.floor(pending / requestLength)
    pending -= complete * requestLength
    if (complete > 0) socket.write(answer(complete))
  }
  // The peer's head is one segment; what it sends first may have come with it.
  socket.once("data", (head) => {
    take(head.length - head.indexOf("\r\n\r\n") - 4)
    socket.on("data", (chunk: Buffer) => take(chunk.length))
  })
}
