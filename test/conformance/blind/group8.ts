import { createHash, randomBytes } from "node:crypto"
import { binary, ping, text } from "../Case.js"
import { Opcode } from "../wire.js"
import type { Bench } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { numbered } from "./Testee.js"

/** Much at a time: nothing is lost, and nobody has to keep more than is agreed on. */

const MESSAGES = 10_000

/** With so much in each message they exceed what the system keeps for a reader that does not read. */
const padding = "x".repeat(2_000)

/** A value that stays the same for so many turns of the event loop, with time between them, is taken for at rest. */
const REST = 30

/** Waits until something does not change any more. */
const atRest = async (bench: Bench, what: string, value: () => number): Promise<number> => {
  let last = Number.NaN
  let turns = 0
  await bench.until(`${what} at rest`, () => {
    const now = value()
    turns = now === last ? turns + 1 : 0
    last = now
    return turns === REST
  })
  return last
}

/** A program that takes no message before it is let. */
const gate = () => {
  let release = () => {}
  const after = new Promise<void>((resolve) => {
    release = resolve
  })
  return { after, release }
}

const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Text of so many octets with characters of every length. */
const textOf = (size: number): Uint8Array => {
  const characters = Buffer.from("aé€𝄞 ".repeat(1_000))
  const whole = Buffer.alloc(size, "z")
  characters.copy(whole, 0)
  for (let at = 0; at + characters.length <= size; at += characters.length) {
    characters.copy(whole, at)
    // So that no two parts are the same.
    whole.write(String(at).padStart(9, "0"), at + characters.length - 10)
  }
  return whole
}

const receiving: ReadonlyArray<BlindSpot> = [
  {
    id: "B8.1",
    title: "10,000 messages in one write reach a slow program in order, and reading pauses meanwhile",
    role: "both",
    run: async (bench) => {
      const { after, release } = gate()
      const { peer, report } = await bench.open({ does: { _tag: "Echo", after } })
      const frames = Array.from({ length: MESSAGES }, (_, i) => text(`${i} ${padding}`))
      peer.sendAll(frames)
      const left = await atRest(bench, "what is not read", () => peer.socket.writableLength)
      demand(left > 0, "it read everything though its program took nothing")
      demand(report.taken === 0, "its program took something before it was to")
      release()
      for (let i = 0; i < MESSAGES; i++) await peer.sees(Opcode.Text, `${i} ${padding}`)
    }
  },
  {
    id: "B8.2",
    title: "messages of 1, 4 and 16 MiB come back with the same content",
    role: "both",
    run: (bench) =>
      each([["1 MiB", 2 ** 20] as const, ["4 MiB", 2 ** 22] as const, ["16 MiB", 2 ** 24] as const], async (size) => {
        const { peer } = await bench.open({ maxMessageSize: 2 ** 24 })
        for (const message of [binary(randomBytes(size)), text(textOf(size))]) {
          peer.send(message)
          const echo = await peer.message()
          const isSame = hashOf(echo) === hashOf(message.payload)
          demand(isSame, `a message of opcode ${message.opcode} came back as another, of ${echo.length} octets`)
        }
      })
  }
]

const SENT = 1_500
const SIZE = 16_384

/** What may wait inside a testee beyond its high-water mark of 262,144 octets. */
const BUFFERED = 2 ** 19

const PINGS = 50_000

const sending: ReadonlyArray<BlindSpot> = [
  {
    id: "B8.3",
    title: "sending waits for a peer that does not read; when it reads, everything arrives",
    role: "both",
    run: async (bench) => {
      const { peer, report } = await bench.open({ does: { _tag: "Send", count: SENT, size: SIZE } })
      peer.socket.pause()
      const sent = await atRest(bench, "sending", () => report.sent)
      demand(sent < SENT, `its program sent all ${SENT} messages to a peer that did not read`)
      demand(report.buffered() <= BUFFERED, `it keeps ${report.buffered()} octets for a peer that does not read`)
      peer.socket.resume()
      for (let i = 0; i < SENT; i++) await peer.sees(Opcode.Binary, numbered(i, SIZE))
    }
  },
  {
    id: "B8.4",
    title: `${PINGS} pings of a peer that does not read are not all kept, and the newest is answered`,
    role: "both",
    run: async (bench) => {
      const { peer, report } = await bench.open({ maxPingsPerSecond: Number.POSITIVE_INFINITY })
      peer.socket.pause()
      const payloads = Array.from({ length: PINGS }, (_, i) => String(i).padStart(125, "0"))
      peer.sendAll([...payloads.map((payload) => ping(payload)), text("the end")])
      await atRest(bench, "reading", () => peer.socket.writableLength + report.taken)
      demand(report.buffered() <= BUFFERED, `it keeps ${report.buffered()} octets for a peer that does not read`)
      peer.socket.resume()
      let latest = -1
      for (let isEchoed = false; !isEchoed || latest < PINGS - 1; ) {
        const { opcode, payload } = await peer.frame("the pong of the newest ping, and the echo behind it")
        if (opcode === Opcode.Text) isEchoed = true
        else {
          const number = Number(Buffer.from(payload).toString())
          demand(opcode === Opcode.Pong && number > latest, `behind the pong ${latest} it sent ${number}`)
          latest = number
        }
      }
    }
  }
]

export const group8: ReadonlyArray<BlindSpot> = [...receiving, ...sending]
