import net from "node:net"
import { type Frames, makeFrames } from "../frames.js"
import { acceptOf, fieldOf, responseHead } from "../upgrade.js"
import { ownWorkload, type Workload } from "../workloads.js"
import { listen } from "./control.js"

/** Turns the number of complete requests that have come on a connection into what everybody is to be sent. */
export type Answer = (requests: number) => Buffer

/**
 * A server on bare node:net that knows the requests beforehand: it doesn't parse them, it counts their bytes, and for
 * each that is complete `answer` says what to write, to all connections where it is a broadcast. Shared by `raw` and
 * `liar`.
 */
export const serveCounting = (
  makeAnswer: (frames: Frames, window: number) => Answer,
  receivers: (sockets: ReadonlySet<net.Socket>) => Iterable<net.Socket> = (sockets) => sockets,
  accept: (key: string) => string = acceptOf
): void => {
  const workload = ownWorkload()
  if (!isCounted(workload)) throw new Error(`${workload.title} is nothing to count`)
  const frames = makeFrames(workload)
  const answer = makeAnswer(frames, workload.window)
  const sockets = new Set<net.Socket>()

  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    // A reset is what the load generator leaves behind when it is stopped.
    socket.on("error", () => socket.destroy())
    socket.once("data", (bytes) => {
      // The load generator's request is one segment, so the head is always whole. What it offers is agreed to.
      const head = bytes.toString("latin1")
      const key = fieldOf(head, "sec-websocket-key") ?? ""
      socket.write(responseHead(accept(key), fieldOf(head, "sec-websocket-extensions")))
      let pending = 0
      socket.on("data", (chunk: Buffer) => {
        pending += chunk.length
        const complete = Math.floor(pending / frames.request.length)
        if (complete === 0) return
        pending -= complete * frames.request.length
        const bytes = answer(complete)
        if (workload.kind !== "broadcast") socket.write(bytes)
        else for (const receiver of receivers(sockets)) receiver.write(bytes)
      })
    })
  })
  listen(server)
}

type Counted = Extract<Workload, { readonly kind: "echo" | "broadcast" | "receive" }>

const isCounted = (workload: Workload): workload is Counted => ["echo", "broadcast", "receive"].includes(workload.kind)
