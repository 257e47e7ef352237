import { createHash } from "node:crypto"
import net, { type AddressInfo } from "node:net"
import { makeFrames, repeat } from "../frames.js"
import { ownWorkload, type Workload } from "../workloads.js"
import { listening } from "./control.js"

/** Turns the length of a request and the number of complete requests that have come into the bytes to answer with. */
type Answer = (replies: number) => Buffer

const key = /^sec-websocket-key: *(\S+)/im
/** What is offered is what is agreed to. */
const offer = /^sec-websocket-extensions:.*\r\n/im

/**
 * A server on bare node:net that knows the requests beforehand: it doesn't parse them, it counts their bytes, and for
 * each that is complete `answer` says what to write. Shared by `raw` and `liar`.
 */
export const serveCounting = (makeAnswer: (reply: Buffer, workload: Workload) => Answer): void => {
  const workload = ownWorkload()
  const { request, reply } = makeFrames(workload)
  const answer = makeAnswer(reply, workload)

  const server = net.createServer({ noDelay: true }, (socket) => {
    // A reset is what the load generator leaves behind when it is stopped.
    socket.on("error", () => socket.destroy())
    socket.once("data", (head) => {
      socket.write(upgrade(head.toString("latin1")))
      let pending = 0
      socket.on("data", (chunk: Buffer) => {
        pending += chunk.length
        const complete = Math.floor(pending / request.length)
        if (complete === 0) return
        pending -= complete * request.length
        socket.write(answer(complete))
      })
    })
  })
  server.listen(0, "127.0.0.1", () => listening((server.address() as AddressInfo).port))
}

/** §4.2.2. The load generator's request is one segment, so the head is always whole. */
const upgrade = (head: string): string => {
  const accept = createHash("sha1")
    .update(`${key.exec(head)?.[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64")
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${offer.exec(head)?.[0] ?? ""}Sec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** The reply so often, cut from one buffer: no connection has more than a window of them due. */
export const replies = (reply: Buffer, { window }: Workload): Answer => {
  const whole = repeat(reply, window)
  return (count) => whole.subarray(0, count * reply.length)
}
