import { cut } from "../frames.js"
import { acceptOf } from "../upgrade.js"
import { ownWorkload } from "../workloads.js"
import { serveCounting } from "./counting.js"
import { serveUpgrades } from "./upgrading.js"

/**
 * What Node alone costs. For messages that is node:net, the bytes of the replies for the bytes of the requests, nothing
 * parsed or unmasked; for connections it is the upgrade of node:http.
 */
const { kind } = ownWorkload()
if (kind === "handshakes" || kind === "memory" || kind === "arrivals") {
  serveUpgrades(acceptOf, Buffer.from([0x88, 0x02, 0x03, 0xe8]))
} else {
  serveCounting(({ reply }, window) => cut(reply, window))
}
