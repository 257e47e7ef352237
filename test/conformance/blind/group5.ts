import { closeFrame, continuation, open, ping, pong, reserved, text } from "../Case.js"
import { type FrameSpec, Opcode } from "../wire.js"
import type { Bench, Session } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { fails } from "./expect.js"
import { type Peer, textOf } from "./Peer.js"
import type { Ending, Task } from "./Testee.js"

/** How connections end: codes, the closing handshake from the testee's side, streams that just end. RFC 6455 §7. */

const coded = (code: number): FrameSpec => closeFrame(Buffer.of(code >> 8, code & 255))

const named = (...codes: ReadonlyArray<number>) => codes.map((code) => [`code ${code}`, code] as const)

/** The ends of what is forbidden, and a few from the middle. */
const forbidden = [
  0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1099, 1100, 1500, 1999, 2000, 2500, 2998, 2999, 5000, 5001, 9_999,
  32_767, 32_768, 65_535
]

const endingOf = (bench: Bench, { report }: Session): Promise<Ending> =>
  bench.inTime("the testee's own end of the connection", report.ending)

/** The testee saw the connection end so. */
const sees = async (bench: Bench, session: Session, expected: Partial<Ending>): Promise<void> => {
  const ending = await endingOf(bench, session)
  for (const key of ["isClean", "code", "sent", "received"] as const) {
    const is = !(key in expected) || ending[key] === expected[key]
    demand(is, `it says ${key} is ${ending[key]}, not ${expected[key]}`)
  }
  const isCause = !("cause" in expected) || (ending.cause === undefined) === (expected.cause === undefined)
  demand(isCause, `it says the cause is ${ending.cause ?? "none"}, not ${expected.cause ?? "none"}`)
}

const codes: ReadonlyArray<BlindSpot> = [
  {
    id: "B5.1",
    title: "the close codes 1012, 1013 and 1014 are answered with themselves",
    role: "both",
    run: (bench) =>
      each(named(1012, 1013, 1014), async (code) => {
        const session = await bench.open()
        const { peer } = session
        peer.close(code, "registered later")
        const { close } = await peer.rest()
        demand(close?.code === code, `it answered ${close?.code ?? "nothing"}`)
        await sees(bench, session, { code, sent: code, received: code, cause: undefined })
      })
  },
  {
    id: "B5.2",
    title: "a close code that may not be said is answered with 1002",
    role: "both",
    run: (bench) =>
      each(named(...forbidden), async (code) => {
        const { peer } = await bench.open()
        peer.send(coded(code))
        await fails(peer, 1002)
      })
  }
]

const CLOSE_TIMEOUT = 400
const OUR_CODE = 3001

/** Closes with 3001, a text message being what it waits for. */
const closing: Task = { closeTimeout: CLOSE_TIMEOUT, does: { _tag: "Close", code: OUR_CODE, when: "asked" } }

/** A testee whose close frame is out, and how long ago it was asked for that. */
const closed = async (bench: Bench, task: Task = closing) => {
  const session = await bench.open(task)
  const { peer } = session
  const start = performance.now()
  peer.send(text("close"))
  await peer.sees(Opcode.Close, Buffer.of(OUR_CODE >> 8, OUR_CODE & 255))
  return { session, peer, elapsed: () => Math.round(performance.now() - start) }
}

/** Ends TCP as its role has to, once both close frames are out. */
const part = async (peer: Peer): Promise<void> => {
  if (peer.role === "server") peer.end()
  await peer.over()
}

/** Nothing came behind the testee's close frame. */
const isSilent = async (peer: Peer): Promise<void> => {
  const { close, frames } = await peer.rest()
  demand(frames.length === 0 && close === undefined, "it sent more behind its close frame")
}

/** Long enough for a machine that is busy; where it counts there is no closeTimeout. */
const LATER = 60_000
const patient: Task = { ...closing, closeTimeout: LATER }

const ours: ReadonlyArray<BlindSpot> = [
  {
    id: "B5.3a",
    title: "a close frame of ours that is answered: TCP ends, and both codes are there",
    role: "both",
    run: (bench) =>
      each(named(OUR_CODE, 4001, 1000), async (code) => {
        const { peer, session } = await closed(bench, patient)
        peer.close(code)
        await part(peer)
        await sees(bench, session, { code, sent: OUR_CODE, received: code, cause: undefined })
      })
  },
  {
    id: "B5.3b",
    title: "a peer that does not answer our close frame is cut at closeTimeout",
    role: "both",
    run: async (bench) => {
      const { elapsed, peer, session } = await closed(bench)
      await peer.over()
      const after = elapsed()
      demand(after >= CLOSE_TIMEOUT - 30, `it cut after ${after} ms, before closeTimeout (${CLOSE_TIMEOUT} ms)`)
      demand(after < CLOSE_TIMEOUT + bench.slack(2_000), `it cut after ${after} ms only`)
      await sees(bench, session, { isClean: false, code: 1006, sent: OUR_CODE, received: undefined, cause: "time" })
    }
  },
  {
    id: "B5.3c",
    title: "data behind our close frame is dropped, and the closing handshake ends as ever",
    role: "both",
    run: async (bench) => {
      const { peer, session } = await closed(bench, patient)
      peer.send(text("late"), ping("late"), text("fragment", open), continuation("s"))
      peer.close(OUR_CODE)
      if (peer.role === "server") peer.end()
      await isSilent(peer)
      await sees(bench, session, { code: OUR_CODE, sent: OUR_CODE, received: OUR_CODE, cause: undefined })
      demand(session.report.taken <= 1, "its program got more than the message that was asked for")
    }
  },
  {
    id: "B5.3d",
    title: "data behind our close frame that breaks a rule or a limit ends the connection at once",
    role: "both",
    run: (bench) =>
      each(
        [
          ["a frame above the limit", text("", { announced: 2n ** 40n })] as const,
          ["a reserved opcode", reserved(3, "late")] as const
        ],
        async (frame) => {
          const { peer, session } = await closed(bench, patient)
          peer.send(frame)
          await isSilent(peer)
          await sees(bench, session, { isClean: false, sent: OUR_CODE, received: undefined, cause: "a violation" })
        }
      )
  },
  {
    id: "B5.3e",
    title: "a FIN, or a reset, instead of an answer to our close frame ends the connection at once, with its cause",
    role: "both",
    run: (bench) =>
      each(
        [["FIN", (peer: Peer) => peer.end()] as const, ["reset", (peer: Peer) => peer.reset()] as const],
        async (end) => {
          const { peer, session } = await closed(bench, patient)
          end(peer)
          await peer.over()
          await sees(bench, session, { isClean: false, code: 1006, sent: OUR_CODE, received: undefined, cause: "that" })
        }
      )
  }
]

/** What is on its way when the stream ends. */
const before: ReadonlyArray<readonly [name: string, say: (peer: Peer) => void]> = [
  ["idle", () => {}],
  ["between two fragments", (peer) => peer.send(text("frag", open))],
  ["inside a frame", (peer) => peer.write(peer.encode([text("hello")]).subarray(0, -2))],
  ["inside a frame's head", (peer) => peer.write(peer.encode([text("x".repeat(300))]).subarray(0, 3))]
]

const bits = [
  ["RSV1", 4],
  ["RSV2", 2],
  ["RSV3", 1]
] as const

/** Frames whose last has the bits. */
const kinds: ReadonlyArray<readonly [name: string, frames: (rsv: number) => ReadonlyArray<FrameSpec>]> = [
  ["ping", (rsv) => [ping("ping", { rsv })]],
  ["pong", (rsv) => [pong("pong", { rsv })]],
  ["close", (rsv) => [closeFrame(Buffer.of(3, 232), { rsv })]],
  ["continuation", (rsv) => [text("fragment", open), continuation("fragment", { rsv })]]
]

const MESSAGES = 50

/** What a frame is that breaks a rule, and the code for it. */
const violations: ReadonlyArray<readonly [name: string, violation: readonly [frame: FrameSpec, code: number]]> = [
  ["a reserved opcode", [reserved(11), 1002]],
  ["reserved bits", [text("bits", { rsv: 1 }), 1002]],
  ["a stray continuation", [continuation("stray"), 1002]],
  ["text that is no UTF-8", [text(Buffer.of(0xff)), 1007]]
]

const streams: ReadonlyArray<BlindSpot> = [
  {
    id: "B5.4",
    title: "a FIN without a close frame ends the connection at once with 1006 and its cause",
    role: "both",
    run: (bench) =>
      each(before, async (say) => {
        const session = await bench.open({ closeTimeout: LATER })
        const { peer } = session
        await peer.echoes("right")
        say(peer)
        peer.end()
        await peer.over()
        await sees(bench, session, { isClean: false, code: 1006, received: undefined, cause: "the end" })
      })
  },
  {
    id: "B5.5",
    title: "reserved bits on ping, pong, close and continuation fail the connection with 1002",
    role: "both",
    run: (bench) =>
      each(kinds, (frames) =>
        each(bits, async (rsv) => {
          const { peer } = await bench.open()
          peer.send(...frames(rsv), text("behind it"))
          await fails(peer, 1002)
        })
      )
  },
  {
    id: "B5.6",
    title: "messages before a violation in the same segment are delivered and echoed before the close frame",
    role: "both",
    run: (bench) =>
      each(violations, async ([violation, code]) => {
        const { peer } = await bench.open()
        const texts = Array.from({ length: MESSAGES }, (_, i) => `message ${i}`)
        peer.send(...texts.map((content) => text(content)), violation, text("behind it"))
        const { close, frames } = await peer.rest()
        const echoes = frames.map(textOf)
        demand(echoes.join() === texts.join(), `of ${MESSAGES} messages it echoed ${echoes.length}: ${echoes.at(-1)}`)
        demand(close?.code === code, `it closed with ${close?.code ?? "nothing"}, not with ${code}`)
      })
  }
]

export const group5: ReadonlyArray<BlindSpot> = [...codes, ...ours, ...streams]
