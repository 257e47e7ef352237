import { ping, text } from "../Case.js"
import { type FrameSpec, Opcode } from "../wire.js"
import { demand, Problem } from "./BlindSpot.js"
import { type Peer, show, textOf } from "./Peer.js"

/** What many scenarios demand. */

/** The testee fails the connection with this code, without saying anything before; then TCP is over. RFC 6455 §7.1.7. */
export const fails = async (peer: Peer, code: number): Promise<void> => {
  const { close } = await peer.rest((frame) => {
    throw new Problem(`before its close frame it sent ${show(frame)}`)
  })
  demand(close !== undefined, `it ended TCP without a close frame, instead of ${code}`)
  demand(close.code === code, `it closed with ${close.code ?? "no code"} (${close.reason}), instead of ${code}`)
}

/** Frames that come together with the end of a handshake. */
export const glued: ReadonlyArray<FrameSpec> = [text("first"), ping("in between"), text("second")]

/** Each of them was received; a pong may come before the echo of what was sent before its ping. RFC 6455 §5.5.3. */
export const answersGlued = async (peer: Peer): Promise<void> => {
  const seen = [await peer.frame(), await peer.frame(), await peer.frame()]
  const texts = seen.filter(({ opcode }) => opcode === Opcode.Text).map(textOf)
  const pongs = seen.filter(({ opcode }) => opcode === Opcode.Pong).map(textOf)
  demand(texts.join() === "first,second" && pongs.join() === "in between", `it sent ${texts}, and pongs ${pongs}`)
}
