import type { Socket } from "@effect/platform/Socket"
import { Effect } from "effect"
import { makeTally } from "../tally.js"
import { ownWorkload } from "../workloads.js"

/** What the servers of Effect's platform do with a connection, however it has come about. */

const workload = ownWorkload()

export const perMessageDeflate = "deflate" in workload && workload.deflate === true

type Write = Effect.Effect.Success<Socket["writer"]>

/** The platform knows no broadcast: everybody's writer is kept. */
const writers = new Set<Write>()

const decoder = new TextDecoder()

const onMessage = (write: Write) => {
  switch (workload.kind) {
    case "broadcast":
      return (data: string | Uint8Array) => Effect.forEach(writers, (each) => each(data), { discard: true })
    case "receive": {
      const tally = makeTally(workload.every)
      return (data: string | Uint8Array) => {
        const sum = tally((typeof data === "string" ? data : decoder.decode(data)).length)
        return sum === undefined ? Effect.void : write(sum)
      }
    }
    default:
      return write
  }
}

export const handle = (socket: Socket) =>
  Effect.scoped(
    Effect.flatMap(socket.writer, (write) => {
      if (workload.kind !== "broadcast") return socket.runRaw(onMessage(write))
      return Effect.acquireUseRelease(
        Effect.sync(() => writers.add(write)),
        () => socket.runRaw(onMessage(write)),
        () => Effect.sync(() => writers.delete(write))
      )
    })
  )
