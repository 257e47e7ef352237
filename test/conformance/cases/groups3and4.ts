import { binary, type Case, closeFrame, failsWith, hex, make, ping, reserved, saw, send, text } from "../Case.js"
import type { FrameSpec } from "../wire.js"

/** What is reserved fails the connection: bits (group 3) and opcodes (group 4). RFC 6455 §5.2. */

const hello = "Hello, world!"
const ending = failsWith(1002)

/** Behind a good message, before a ping that is never answered; not to have echoed the message is tolerated. */
const behindMessage = (id: string, bad: FrameSpec, writing: Case["writing"]): Case =>
  make(id, [send(text(hello), bad, ping())], { expected: [saw.text(hello)], tolerated: [[]], ending, writing })

const alone = (id: string, bad: FrameSpec): Case => make(id, [send(bad)], { ending })

export const group3: ReadonlyArray<Case> = [
  alone("3.1", text(hello, { rsv: 1 })),
  behindMessage("3.2", text(hello, { rsv: 2 }), "together"),
  behindMessage("3.3", text(hello, { rsv: 3 }), "framewise"),
  behindMessage("3.4", text(hello, { rsv: 4 }), { chops: 1 }),
  alone("3.5", binary(hex("00fffefdfcfb00ff"), { rsv: 5 })),
  alone("3.6", binary(hello, { rsv: 6 })),
  // Not the beginning of a closing handshake: the testee has to fail.
  alone("3.7", closeFrame("", { rsv: 7 }))
]

export const group4: ReadonlyArray<Case> = [3, 11].flatMap((first, i) => {
  const id = (n: number) => `4.${i + 1}.${n}`
  return [
    alone(id(1), reserved(first)),
    alone(id(2), reserved(first + 1, "reserved opcode payload")),
    behindMessage(id(3), reserved(first + 2), "together"),
    behindMessage(id(4), reserved(first + 3, hello), "together"),
    behindMessage(id(5), reserved(first + 4, hello), { chops: 1 })
  ]
})
