import type { FrameSpec } from "../wire.js"
import { demand } from "./BlindSpot.js"
import type { Peer } from "./Peer.js"
import { show } from "./Peer.js"

/** What many scenarios demand. */

/** The testee fails the connection with this code, without saying anything before; then TCP is over. RFC 6455 §7.1.7. */
export const fails = async (peer: Peer, code: number): Promise<void> => {
  const { close, frames } = await peer.rest()
  demand(frames.length === 0, `before its close frame it sent ${frames.slice(0, 3).map(show).join(", ")}`)
  demand(close !== undefined, `it ended TCP without a close frame, instead of ${code}`)
  demand(close.code === code, `it closed with ${close.code ?? "no code"} (${close.reason}), instead of ${code}`)
}

/** The testee takes these frames for what they are: a violation with this code. */
export const refuses = async (peer: Peer, code: number, ...frames: ReadonlyArray<FrameSpec>): Promise<void> => {
  peer.send(...frames)
  await fails(peer, code)
}
