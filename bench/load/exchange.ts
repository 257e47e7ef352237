import { makeFrames, repeat } from "../frames.js"
import { DeflatedReplies, type Replies, SameReplies } from "../replies.js"
import type { Echo, Receive } from "../workloads.js"
import { Bursts } from "./bursts.js"
import type { Load } from "./Load.js"
import { answerPing, type Link, openLink, openLinks, received } from "./link.js"

/** A server has to agree to all of it. It may say how small its window is, which without contexts doesn't matter. */
const deflateOffer = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

/** Connections to a server under test, which answers each burst on the connection it came on. */
export const exchange = (workload: Echo | Receive, port: number): Load => {
  const frames = makeFrames(workload)
  const bursts = new Bursts(frames, workload.window)
  const deflate = workload.kind === "echo" && workload.deflate === true
  const expected = repeat(frames.reply, 1 + Math.ceil(received.length / frames.reply.length))
  const makeReplies = (link: Link): Replies =>
    deflate
      ? new DeflatedReplies(frames)
      : new SameReplies(expected, frames.reply.length, (payload) => answerPing(link, payload))
  const open = async () => {
    const link = await openLink({ port, ...(deflate ? { extension: deflateOffer, mayAdd: true } : {}) })
    const talker = bursts.add(link.socket, makeReplies(link))
    link.receive = (length) => bursts.receive(talker, received, length)
    return link
  }
  return {
    open: async (connections) => void (await openLinks(connections, open)),
    run: (seconds) => bursts.run(seconds)
  }
}
