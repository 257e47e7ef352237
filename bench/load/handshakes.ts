import { masked } from "../frames.js"
import type { Handshakes } from "../workloads.js"
import type { Load } from "./Load.js"
import { LoadError, openLink, received, watch } from "./link.js"

const closeFrame = masked(0x88, Buffer.from([0x03, 0xe8]))
const answers = { closed: Buffer.from([0x88, 0x02, 0x03, 0xe8]), cut: Buffer.alloc(0) }

/**
 * Opens, closes with 1000, wants 1000 back and then the end of the stream, which a server brings about (§7.1.1). Where
 * the stream just ends, that of the server has to end too, and without a word.
 */
const once = async (port: number, ends: Handshakes["ends"]): Promise<void> => {
  const link = await openLink({ port })
  const { socket } = link
  let came = Buffer.alloc(0)
  const ended = new Promise<void>((resolve, reject) => {
    link.receive = (length) => {
      came = Buffer.concat([came, received.subarray(0, length)])
    }
    link.ended = () => {
      if (came.equals(answers[ends])) resolve()
      else reject(new LoadError("WrongReply", `the end was answered with ${came.toString("hex") || "nothing"}`))
    }
  })
  if (ends === "closed") socket.write(closeFrame)
  else socket.end()
  await ended
}

export const handshakes = ({ connections, ends }: Handshakes, port: number): Load => {
  let done = 0
  return {
    open: async () => {},
    run: async (seconds, atMost = Number.POSITIVE_INFINITY) => {
      const before = done
      const end = performance.now() + seconds * 1000
      const timer = watch(
        () => done,
        () => `${connections} handshakes under way`
      )
      const worker = async () => {
        while (performance.now() < end && done - before < atMost) {
          await once(port, ends)
          done++
        }
      }
      await Promise.all(Array.from({ length: connections }, worker))
      clearInterval(timer)
      return done - before
    }
  }
}
