import { maskedReply } from "../frames.js"
import { lastBitFlipped, makeAnswers, ownLie } from "../lies.js"
import { acceptOf } from "../upgrade.js"
import { ownWorkload } from "../workloads.js"
import { serveCounting } from "./counting.js"
import { serveUpgrades } from "./upgrading.js"

/** A server that does one thing wrong, which `--self-test` must see. */

const { kind } = ownWorkload()
const lie = ownLie()

const acceptWrongly = (key: string): string => acceptOf(lie === "accept" ? `${key}.` : key)

if (kind === "handshakes" || kind === "memory" || kind === "arrivals") {
  const honest = Buffer.from([0x88, 0x02, 0x03, 0xe8])
  const wrong = lie === "garbage" ? lastBitFlipped(honest) : honest
  const first = lie === "chatter" ? Buffer.from([0x81, 0x02, 0x68, 0x69]) : undefined
  serveUpgrades(acceptWrongly, lie === "half" ? undefined : wrong, first)
} else {
  serveCounting(
    (frames) => {
      const wrong = lie === "masking" ? maskedReply(frames) : lastBitFlipped(frames.reply)
      const isHonest = lie === "skip" || lie === "accept"
      return makeAnswers(frames.reply, isHonest ? frames.reply : wrong, lie === "half")
    },
    // All but one of those that are connected.
    (sockets) => (lie === "skip" ? [...sockets].slice(1) : sockets),
    acceptWrongly
  )
}
