import { makeFrames } from "../frames.js"
import { DeflatedReplies } from "../replies.js"
import type { Arrivals, Memory } from "../workloads.js"
import type { Load } from "./Load.js"
import { answerPing, fail, type Link, LoadError, openLink, openLinks, received, watch } from "./link.js"

const compressedEcho = makeFrames({
  kind: "echo",
  message: { type: "json", bytes: 1024 },
  deflate: true,
  connections: 1,
  window: 1
})

/** Nothing is to come any more, except for pings. */
const rest = (link: Link): void => {
  link.receive = (length) => {
    const isPing = received[0] === 0x89 && length === 2 + (received[1] ?? 0)
    if (isPing) answerPing(link, received.subarray(2, length))
    else fail("WrongReply", `${received.toString("hex", 0, Math.min(length, 12))} came on an idle connection`)
  }
}

/** One message there and back, so that the server has made what it needs for that. */
const use = (link: Link): Promise<void> =>
  new Promise((resolve, reject) => {
    const replies = new DeflatedReplies(compressedEcho)
    link.receive = (length) => {
      const came = replies.count(received, length)
      if (typeof came === "string") reject(new LoadError("WrongReply", `of the replies ${came}`))
      else if (came > 0) resolve()
    }
    link.socket.write(compressedEcho.request)
  })

/** Connections that come, stay, and go. */
export const idle = (workload: Memory | Arrivals, port: number): Load => {
  const links: Array<Link> = []
  const isMemory = workload.kind === "memory"
  const deflate = isMemory && workload.deflate === true
  const open = async (): Promise<Link> => {
    const extension = deflate ? { extension: "permessage-deflate", mayAdd: true } : {}
    const link = await openLink({ port, tls: isMemory && workload.tls === true, ...extension })
    if (deflate) await use(link)
    rest(link)
    return link
  }
  return {
    open: async (count) => {
      links.push(...(await openLinks(count, open)))
    },
    drop: async () => {
      const count = links.length
      let left = count
      const timer = watch(
        () => left,
        () => `${left} connections not ended by the server`
      )
      await new Promise<void>((resolve) => {
        for (const link of links) {
          link.ended = () => {
            left--
            if (left === 0) resolve()
          }
          // Half of the way: the server's own end of the stream has to come before it is closed.
          link.socket.end()
        }
      })
      clearInterval(timer)
      links.length = 0
      return count
    }
  }
}
