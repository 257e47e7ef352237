import { Buffer } from "node:buffer"
import { constants, deflateRawSync } from "node:zlib"
import { Random } from "../../fuzz/random.js"
import { text } from "../Case.js"
import { Deflate } from "../Deflate.js"
import { dataSets } from "../dataSets.js"
import { type Agreement, agreed, type Demand, sideOf } from "../extensions.js"
import { type Frame, Misconduct, Opcode, RSV1 } from "../wire.js"
import type { Bench, Session } from "./Bench.js"
import { demand, Problem } from "./BlindSpot.js"
import { EXTENSIONS } from "./group2.js"
import type { Peer } from "./Peer.js"
import type { Task } from "./Testee.js"

/** Connections on which permessage-deflate is agreed, and whether a testee keeps to it. RFC 7692. */

/** What an offer or an answer says of each side's messages. */
export interface Sides {
  readonly server: Demand
  readonly client: Demand
}

/** A testee that compresses whatever it sends. */
export const compressing = { compression: { threshold: 0 } } as const

/** What the peer did that it must not do, as a problem. */
const problem = <A>(check: () => A): A => {
  try {
    return check()
  } catch (error) {
    throw new Problem(error instanceof Error ? error.message : String(error))
  }
}

export const readDeflated = (deflate: Deflate, { payload, rsv }: Frame): Uint8Array => {
  demand(rsv === RSV1, "it sent a message that is not compressed")
  try {
    return deflate.decompress(payload)
  } catch (error) {
    throw error instanceof Misconduct ? new Problem(`it sent ${error.message}`) : error
  }
}

/** What a server's answer means to a client that asked so; what a client says of itself holds without an answer to it. §7.1.1.2, §7.1.2.2. */
export const agreementOf = (answer: string, { client, server }: Sides): Agreement => {
  const agreement = problem(() => agreed(answer, [server]))
  demand(agreement !== undefined, "it declined")
  const { own, peer } = agreement
  return {
    own: {
      noContextTakeover: own.noContextTakeover || client.noContextTakeover === true,
      windowBits: Math.min(own.windowBits, client.windowBits ?? 15)
    },
    peer
  }
}

/** A connection with permessage-deflate; the parameters are what the harness says in its half of the handshake. */
export const openDeflated = async (
  bench: Bench,
  parameters = "",
  sides: Sides = { server: {}, client: {} },
  task: Task = compressing
): Promise<Session & { readonly deflate: Deflate }> => {
  const session = await bench.open(task, { [EXTENSIONS]: `permessage-deflate${parameters}` })
  const said = session.head.headers.get("sec-websocket-extensions")
  demand(said !== undefined, bench.role === "server" ? "it declined" : "it offered nothing")
  session.peer.negotiated = RSV1
  const agreement =
    bench.role === "server" ? agreementOf(said, sides) : { own: sideOf(sides.server), peer: sideOf(sides.client) }
  return { ...session, deflate: new Deflate(agreement) }
}

/** Far enough for every window, and not as far as zlib itself cannot reach. */
const FURTHEST = 32_000

/** A message that refers back exactly so far, and nothing else in it does. */
const reaching = (distance: number): Uint8Array => {
  const found = Buffer.from("found again")
  const noise = new Random(distance).bytes(distance - found.length).map((octet) => octet | 0x80)
  // zlib never refers to the first octet.
  return Buffer.concat([Buffer.of(0), found, noise, found])
}

const echoesDeflated = async (
  peer: Peer,
  deflate: Deflate,
  opcode: number,
  message: Uint8Array,
  payload: Uint8Array
) => {
  peer.send({ opcode, payload, rsv: RSV1 })
  const frame = await peer.frame("an echo")
  demand(frame.opcode === opcode && frame.fin, `instead of an echo it sent opcode ${frame.opcode}`)
  demand(Buffer.compare(readDeflated(deflate, frame), message) === 0, "an echo is another message")
}

/** Both sides keep to what is agreed: in messages that are alike, and in one that reaches as far back as it may. */
export const converses = async (peer: Peer, deflate: Deflate): Promise<void> => {
  for (let n = 0; n < 6; n++) {
    const message = dataSets.json.message(n, 3_000)
    await echoesDeflated(peer, deflate, Opcode.Text, message, deflate.compress(message))
  }
  const far = reaching(Math.min(2 ** deflate.own.windowBits, FURTHEST))
  const flushed = deflateRawSync(far, { finishFlush: constants.Z_SYNC_FLUSH })
  await echoesDeflated(peer, deflate, Opcode.Binary, far, flushed.subarray(0, -4))
}

/** A compressed message in one frame. */
export const compressed = (payload: Uint8Array) => text(payload, { rsv: RSV1 })
