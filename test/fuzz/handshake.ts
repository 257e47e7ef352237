import { Buffer } from "node:buffer"
import * as Extension from "../../src/protocol/Extension.js"
import * as Handshake from "../../src/protocol/Handshake.js"
import { generateLines, headersOf, linesOf } from "./headers.js"
import { type Mode, usage } from "./mode.js"
import { Random } from "./random.js"
import { policies, toys } from "./toys.js"

/** The opening handshake as a round: what a client asks, a server answers, and the client makes of that. */

const subset = <A>(random: Random, choices: ReadonlyArray<A>): ReadonlyArray<A> => {
  const chosen = choices.filter(() => random.oneIn(2))
  return random.oneIn(2) ? chosen : chosen.reverse()
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

/** A client and a server without headers of their own agree, or both know that they don't. */
const checkRound = (random: Random): string | undefined => {
  const offer = offerOf(random, [])
  const request = Handshake.request(offer)
  if (Handshake.checkRequest(request) !== undefined) return "a request of ours is refused as a request"
  const answer = Handshake.answer(request, random.pick(policies))
  const response = answer._tag === "Agreement" ? answer.response : answer
  const verdict = Handshake.verify(offer, response)
  if (answer._tag === "Rejection") {
    return verdict._tag === "Refusal" && verdict.reason === "status"
      ? undefined
      : "a client takes a refusal for an answer"
  }
  if (verdict._tag === "Refusal") {
    // A client that names subprotocols wants one of them.
    const lacks = offer.subprotocols.length > 0 && answer.subprotocol === undefined
    return lacks && verdict.reason === "header" && verdict.header === "Sec-WebSocket-Protocol"
      ? undefined
      : "a client refuses what a server has agreed to"
  }
  if (verdict.subprotocol !== answer.subprotocol) return "the ends have agreed on different subprotocols"
  if (!same(verdict.extensions, answer.extensions)) return "the ends have agreed on different extensions"
  const payload = random.bytes(random.below(20))
  const sent = Extension.encode(answer.codecs, payload)
  if (typeof sent === "function") return "a small payload is not encoded at once"
  const received = Extension.decode(verdict.codecs, sent.payload, sent.rsv, 1000)
  if (!(received instanceof Uint8Array) || !Buffer.from(received).equals(payload)) {
    return "what one end encodes the other does not decode"
  }
  return checkForged(random, offer, answer.response)
}

/** The same answer does not open another connection. */
const checkForged = (
  random: Random,
  offer: Handshake.ClientOffer,
  response: Handshake.ResponseHead
): string | undefined => {
  const other = { ...offer, key: Buffer.from(random.bytes(16)).toString("base64") }
  if (other.key !== offer.key && Handshake.verify(other, response)._tag === "Agreement") {
    return "a client takes an answer to another key"
  }
  const without = response.headers.filter((_, i) => i !== random.below(3))
  return without.length < response.headers.length &&
    ["upgrade", "connection", "sec-websocket-accept"].some(
      (name) => !without.some(([key]) => key.toLowerCase() === name)
    ) &&
    Handshake.verify(offer, { ...response, headers: without })._tag === "Agreement"
    ? "a client takes an answer that lacks a header"
    : undefined
}

const offerOf = (random: Random, headers: Handshake.HeaderList): Handshake.ClientOffer => ({
  target: random.pick(["/", "/chat?x=%20", "/a/b"]),
  host: random.pick(["example.com", "example.com:8080", "[::1]:80", "127.0.0.1"]),
  key: Buffer.from(random.bytes(16)).toString("base64"),
  subprotocols: subset(random, ["chat", "superchat", "v1.json", "__proto__"]),
  extensions: subset(random, toys),
  headers
})

/** With any headers beside its own, a request is answered, and the answer read, without a throw. */
const checkExtra = (random: Random, list: Handshake.HeaderList): string | undefined => {
  const offer = offerOf(random, list)
  const request = Handshake.request(offer)
  Handshake.checkRequest(request)
  const answer = Handshake.answer(request, random.pick(policies))
  const keys = list.filter(([name]) => name.toLowerCase() === "sec-websocket-key")
  if (answer._tag === "Rejection") return undefined
  if (keys.length > 0) return "a request with two keys is answered with an agreement"
  const verdict = Handshake.verify(offer, answer.response)
  if (verdict._tag === "Refusal") return undefined
  return same(verdict.extensions, answer.extensions) ? undefined : "the ends have agreed on different extensions"
}

export const handshake: Mode = {
  name: "handshake",
  generate: (random) => (random.oneIn(2) ? new Uint8Array(0) : generateLines(random)),
  check: (input, seed) => {
    const random = new Random(usage(seed))
    return checkRound(random) ?? (input.length === 0 ? undefined : checkExtra(random, headersOf(linesOf(input))))
  }
}
