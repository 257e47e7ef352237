import net from "node:net"
import { makeFrames } from "../frames.js"
import { MaskedReplies } from "../replies.js"
import { acceptOf, fieldOf, responseHead } from "../upgrade.js"
import type { Client } from "../workloads.js"
import { Bursts } from "./bursts.js"
import type { Load } from "./Load.js"
import { fail, watch } from "./link.js"

/** A bare server for the client under test: it agrees to no extension, and unmasks and compares every frame. */
export const peer = async (workload: Client): Promise<Load & { readonly port: number }> => {
  const frames = makeFrames(workload)
  const bursts = new Bursts(frames, workload.window)
  let arrived = () => {}

  const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy())
    socket.on("close", () => fail("Disconnected", "the client ended a connection"))
    let head = ""
    const readHead = (chunk: Buffer): void => {
      head += chunk.toString("latin1")
      if (!head.includes("\r\n\r\n")) return
      socket.off("data", readHead)
      const key = fieldOf(head, "sec-websocket-key")
      if (!head.endsWith("\r\n\r\n") || key === undefined || fieldOf(head, "sec-websocket-version") !== "13") {
        fail("WrongReply", `the client asked for the upgrade with ${JSON.stringify(head)}`)
        return
      }
      const talker = bursts.add(socket, new MaskedReplies(frames))
      socket.on("data", (chunk: Buffer) => bursts.receive(talker, chunk, chunk.length))
      socket.write(responseHead(acceptOf(key)))
      arrived()
    }
    socket.on("data", readHead)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (typeof address !== "object" || address === null) throw new Error("not listening")

  return {
    port: address.port,
    /** The client has been told to connect; they only have to arrive. */
    open: async (connections) => {
      const timer = watch(
        () => bursts.talkers.length,
        () => `${connections} connections expected`
      )
      await new Promise<void>((resolve) => {
        arrived = () => {
          if (bursts.talkers.length === connections) resolve()
        }
        arrived()
      })
      clearInterval(timer)
    },
    run: (seconds) => bursts.run(seconds)
  }
}
