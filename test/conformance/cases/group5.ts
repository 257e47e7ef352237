import {
  type Case,
  continuation,
  failsWith,
  make,
  open,
  pause,
  ping,
  pong,
  type Step,
  saw,
  send,
  text,
  type Writing
} from "../Case.js"

/** Fragmentation. RFC 6455 §5.4. */

const writings: ReadonlyArray<Writing> = ["together", "framewise", { chops: 1 }]
const ending = failsWith(1002)

/** The same frames three times: in one write, a write per frame, a write per octet. */
const threeWays = (first: number, steps: ReadonlyArray<Step>, rest: Partial<Case>): ReadonlyArray<Case> =>
  writings.map((writing, i) => make(`5.${first + i}`, steps, { ...rest, writing }))

const [one, two] = ["fragment1", "fragment2"]
const message = [text(one, open), continuation(two)]
const stray = "non-continuation payload"

const long = [
  send(text(one, open), continuation(two, open), ping("pongme 1!")),
  pause(1_000),
  send(continuation("fragment3", open), continuation("fragment4", open), ping("pongme 2!"), continuation("fragment5"))
]
const longEvents = [
  saw.pong("pongme 1!"),
  saw.pong("pongme 2!"),
  saw.text("fragment1fragment2fragment3fragment4fragment5")
]

/** Twice: a stray continuation, then a message in two fragments. */
const strayTwice = (fin: boolean): Step => {
  const frames = [continuation(one, { fin }), text(two, open), continuation("fragment3")]
  return send(...frames, ...frames)
}

export const group5: ReadonlyArray<Case> = [
  make("5.1", [send(ping(one, open), continuation(two))], { ending }),
  make("5.2", [send(pong(one, open), continuation(two))], { ending }),
  ...threeWays(3, [send(...message)], { expected: [saw.text(one + two)] }),
  ...threeWays(6, [send(text(one, open), ping("ping payload"), continuation(two))], {
    expected: [saw.pong("ping payload"), saw.text(one + two)]
  }),
  ...threeWays(9, [send(continuation(stray), text("Hello, world!"))], { ending }),
  ...threeWays(12, [send(continuation(stray, open), text("Hello, world!"))], { ending }),
  make("5.15", [send(...message, continuation("fragment3", open), text("fragment4"))], {
    expected: [saw.text(one + two)],
    tolerated: [[]],
    ending
  }),
  make("5.16", [strayTwice(false)], { ending }),
  make("5.17", [strayTwice(true)], { ending }),
  make("5.18", [send(text(one, open), text(two))], { ending }),
  make("5.19", long, { expected: longEvents }),
  make("5.20", long, { expected: longEvents, writing: "framewise" })
]
