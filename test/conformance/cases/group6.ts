import { type Case, continuation, failsWith, hex, make, open, saw, send, text, utf8 } from "../Case.js"
import type { FrameSpec } from "../wire.js"
import { kosme, sequences } from "./utf8.js"

/** Text is UTF-8, whole messages of it, and what is not fails the connection. RFC 6455 §8.1. */

const ending = failsWith(1007)

const echoed = (id: string, frames: ReadonlyArray<FrameSpec>, payload: string | Uint8Array): Case =>
  make(id, [send(...frames)], { expected: [saw.text(payload)] })

/** A frame per octet, and an empty one that ends the message. */
const octetwise = (payload: Uint8Array): ReadonlyArray<FrameSpec> => [
  ...[...payload].map((octet, i) => (i === 0 ? text : continuation)(Uint8Array.of(octet), open)),
  continuation()
]

const greeting = "Hello-µ@ßöäüàá-UTF-8!!"
const half = "Hello-µ@ßöä"
const surrogateInside = hex(`${kosme} eda080 656469746564`)

const slow = (id: string, as: "frames" | "one frame", parts: ReadonlyArray<string>): Case =>
  make(id, [{ _tag: "Slowly", parts: parts.map(hex), as }], { ending })

/** U+110000 as a part of its own; and cut before the very octet that makes it too large. */
const wholeCharacter = [kosme, "f4908080", "656469746564"]
const exactOctet = [`${kosme}f4`, "90", "8080656469746564"]

const fragmented: ReadonlyArray<Case> = [
  echoed("6.1.1", [text()], ""),
  echoed("6.1.2", [text("", open), continuation("", open), continuation()], ""),
  echoed("6.1.3", [text("", open), continuation("middle frame payload", open), continuation()], "middle frame payload"),
  echoed("6.2.1", [text(greeting)], greeting),
  echoed("6.2.2", [text(half, open), continuation(greeting.slice(half.length))], greeting),
  echoed("6.2.3", octetwise(utf8(greeting)), greeting),
  echoed("6.2.4", octetwise(hex(kosme)), hex(kosme)),
  make("6.3.1", [send(text(surrogateInside))], { ending }),
  make("6.3.2", [send(...octetwise(surrogateInside))], { ending }),
  slow("6.4.1", "frames", wholeCharacter),
  slow("6.4.2", "frames", exactOctet),
  slow("6.4.3", "one frame", wholeCharacter),
  slow("6.4.4", "one frame", exactOctet)
]

/** One unfragmented message each. */
const single: ReadonlyArray<Case> = sequences.flatMap(({ group, octets }) =>
  octets.map((entry, i) => {
    const isBad = entry.startsWith("!")
    const payload = hex(isBad ? entry.slice(1) : entry)
    const verdict = isBad ? { ending } : { expected: [saw.text(payload)] }
    return make(`6.${group}.${i + 1}`, [send(text(payload))], { ...verdict, patience: 500 })
  })
)

export const group6: ReadonlyArray<Case> = [...fragmented, ...single]
