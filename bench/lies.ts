import { repeat } from "./frames.js"
import type { Fault } from "./messages.js"
import type { Workload } from "./workloads.js"

/** What a liar does wrong, for `--self-test`, and what the load generator must call it. */
export const lies = {
  /** One bit is wrong in the last byte. */
  garbage: "WrongReply",
  /** Every other message is answered only. */
  half: "Stalled",
  /** A server masks, a client doesn't. §5.1 */
  masking: "WrongReply",
  /** The key in the frame isn't the one it is masked with. */
  wrongKey: "WrongReply",
  /** A broadcast leaves one connection out. */
  skip: "Stalled",
  /** The key of the opening handshake is answered wrongly. */
  accept: "WrongReply",
  /** Something comes on a connection that nothing was sent on. */
  chatter: "WrongReply"
} as const satisfies Record<string, Fault>

export type Lie = keyof typeof lies

const isLie = (name: string): name is Lie => Object.hasOwn(lies, name)

/** The lie that a liar is started for. */
export const ownLie = (): Lie => {
  const name = process.argv[3] ?? ""
  if (!isLie(name)) throw new Error(`no lie is called "${name}"`)
  return name
}

/** Those that can be told in a workload. */
export const liesOf = (workload: Workload): ReadonlyArray<Lie> => {
  switch (workload.kind) {
    case "echo":
    case "receive":
      return ["garbage", "half", "masking", "accept"]
    case "broadcast":
      return ["garbage", "half", "masking", "skip"]
    case "client":
      return ["garbage", "half", "masking", "wrongKey"]
    case "handshakes":
      return workload.ends === "cut" ? ["accept", "chatter"] : ["garbage", "half", "accept"]
    case "memory":
    case "arrivals":
      return ["accept", "chatter"]
  }
}

export const lastBitFlipped = (bytes: Buffer): Buffer => {
  const wrong = Buffer.from(bytes)
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  return wrong
}

/** Honest to the first hundred bursts of a process, then not: answers so many bursts with the one or the other. */
export const makeAnswers = (honest: Buffer, wrong: Buffer, isHalf: boolean): ((bursts: number) => Buffer) => {
  let answered = 0
  return (bursts) => {
    const before = answered
    answered += bursts
    if (answered < 100) return repeat(honest, bursts)
    return isHalf ? repeat(honest, (answered >> 1) - (before >> 1)) : repeat(wrong, bursts)
  }
}
