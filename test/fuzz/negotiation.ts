import { Buffer } from "node:buffer"
import * as NodeDeflate from "../../src/node/NodeDeflate.js"
import * as Extension from "../../src/protocol/Extension.js"
import * as Handshake from "../../src/protocol/Handshake.js"
import * as headers from "../../src/protocol/headers.js"
import * as PerMessageDeflate from "../../src/protocol/PerMessageDeflate.js"
import { type Mode, usage } from "./mode.js"
import { Random } from "./random.js"
import { damage } from "./streams.js"

/** What is said about permessage-deflate in the opening handshake: any text is read, and what is agreed on is what was asked. */

type Make = (options: PerMessageDeflate.Options) => Extension.Extension

const names = [
  "server_no_context_takeover",
  "client_no_context_takeover",
  "server_max_window_bits",
  "client_max_window_bits"
]
const values = [
  "8",
  "9",
  "10",
  "12",
  "15",
  "15",
  "7",
  "16",
  "08",
  "+9",
  "1e1",
  "0",
  "-9",
  '"10"',
  "9.0",
  "x",
  "10000000000000000"
]

const parameter = (random: Random): string => {
  if (random.oneIn(20))
    return random.pick(["x=1", "__proto__=9", "SERVER_MAX_WINDOW_BITS=9", "", "=", "max_window_bits"])
  const name = random.pick(names)
  const isBits = name.endsWith("bits") !== random.oneIn(12)
  return isBits && !random.oneIn(4) ? `${name}=${random.pick(values)}` : name
}

const entry = (random: Random): string =>
  [
    random.oneIn(12)
      ? random.pick(["x-webkit-deflate-frame", "Permessage-Deflate", "", "constructor"])
      : PerMessageDeflate.token,
    ...Array.from({ length: random.below(5) }, () => parameter(random))
  ].join(random.pick(["; ", ";", " ;\t"]))

const generate = (random: Random): Uint8Array => {
  const text = Array.from({ length: 1 + random.below(3) }, () => entry(random)).join(random.pick([", ", ","]))
  const bytes = Buffer.from(text)
  return random.oneIn(3) ? damage(random, bytes) : bytes
}

const optionsOf = (random: Random): PerMessageDeflate.Options => ({
  threshold: random.pick([0, 0, 1024]),
  serverNoContextTakeover: random.oneIn(2),
  clientNoContextTakeover: random.oneIn(2),
  serverMaxWindowBits: random.oneIn(2) ? 15 : 8 + random.below(8),
  clientMaxWindowBits: random.oneIn(2) ? 15 : 8 + random.below(8)
})

/** A list of parameters by its names; undefined where RFC 7692 §7.1 does not allow it. */
type Said = ReadonlyMap<string, string | undefined>

const saidBy = (parameters: Extension.Parameters): Said | undefined => {
  const said = new Map(parameters.map(({ name, value }) => [name, value] as const))
  if (said.size < parameters.length) return undefined
  for (const [name, value] of said) {
    if (!names.includes(name)) return undefined
    const isNumber = value !== undefined && ["8", "9", "10", "11", "12", "13", "14", "15"].includes(value)
    if (name.endsWith("takeover") ? value !== undefined : !isNumber && !(name === names[3] && value === undefined))
      return undefined
  }
  return said
}

const bits = (said: Said, name: string): number => Number(said.get(name) ?? 15)

/** Whether an answer is one to this offer, as RFC 7692 §7.1.1 and §7.1.2 say; written apart from src. */
const isAnswer = (offer: Said, answer: Said): boolean =>
  (!offer.has("server_no_context_takeover") || answer.has("server_no_context_takeover")) &&
  (!offer.has("server_max_window_bits") || answer.has("server_max_window_bits")) &&
  bits(answer, "server_max_window_bits") <= bits(offer, "server_max_window_bits") &&
  (!answer.has("client_max_window_bits") ||
    (offer.has("client_max_window_bits") &&
      answer.get("client_max_window_bits") !== undefined &&
      bits(answer, "client_max_window_bits") <= bits(offer, "client_max_window_bits")))

const head = (offer: Handshake.ClientOffer, value: string | undefined): Handshake.RequestHead => {
  const request = Handshake.request({ ...offer, extensions: [] })
  return value === undefined
    ? Handshake.request(offer)
    : { ...request, headers: [...request.headers, ["Sec-WebSocket-Extensions", value]] }
}

/** A server and any offer. */
const checkAnswer = (server: Extension.Extension, offer: Handshake.ClientOffer, value: string): string | undefined => {
  const answer = Handshake.answer(head(offer, value), { extensions: [server] })
  if (answer._tag === "Rejection" || answer.extensions.length === 0) return undefined
  const said = saidBy(answer.extensions[0]!.parameters)
  if (said === undefined || answer.extensions.length > 1) return "an answer is no answer by RFC 7692"
  const offers = (headers.parseExtensions([value]) ?? [])
    .filter(({ name }) => name === PerMessageDeflate.token)
    .map(({ parameters }) => saidBy(parameters))
  return offers.some((offered) => offered !== undefined && isAnswer(offered, said))
    ? undefined
    : "an answer is none to what was offered"
}

/** A client and any answer. */
const checkAccept = (client: Extension.Extension, offer: Handshake.ClientOffer, value: string): string | undefined => {
  const plain = Handshake.answer(head({ ...offer, extensions: [] }, undefined), {})
  if (plain._tag === "Rejection") return "a request of ours is rejected"
  const response = {
    ...plain.response,
    headers: [...plain.response.headers, ["Sec-WebSocket-Extensions", value] as const]
  }
  const verdict = Handshake.verify(offer, response)
  const entries = headers.parseExtensions([value])
  const only = entries?.length === 1 && entries[0]!.name === PerMessageDeflate.token ? entries[0]! : undefined
  const said = only === undefined ? undefined : saidBy(only.parameters)
  const offered = saidBy(client.offers[0]!)
  const isRight = said !== undefined && offered !== undefined && isAnswer(offered, said)
  if (verdict._tag === "Agreement" && verdict.codecs.length > 0 && !isRight)
    return "a client takes an answer that is none to its offer"
  return isRight && verdict._tag === "Refusal" ? "a client refuses an answer to its offer" : undefined
}

/** What one end encodes the other decodes, message after message. */
const checkMessages = (random: Random, from: ReadonlyArray<Extension.Codec>, to: ReadonlyArray<Extension.Codec>) => {
  const block = random.bytes(200)
  for (let i = 0; i < 6; i++) {
    const payload = Buffer.concat([
      block,
      new Uint8Array(random.below(2000)),
      random.oneIn(2) ? block : new Uint8Array(0)
    ])
    const encoded = Extension.encode(from, random.oneIn(6) ? new Uint8Array(0) : payload)
    if (typeof encoded === "function") return "a small payload is not encoded at once"
    const sent = Uint8Array.from(encoded.payload)
    const received = Extension.decode(to, sent, encoded.rsv, 5000)
    if (!(received instanceof Uint8Array)) return "what one end encodes the other does not decode"
    if (received.length > 0 && !Buffer.from(received).equals(payload))
      return "what one end encodes is something else to the other"
  }
  return undefined
}

/** Two ends of ours, with any options. */
const checkRound = (
  random: Random,
  server: Extension.Extension,
  offer: Handshake.ClientOffer,
  offered: Said
): string | undefined => {
  const answer = Handshake.answer(Handshake.request(offer), { extensions: [server] })
  if (answer._tag === "Rejection") return "a request of ours is rejected"
  const verdict = Handshake.verify(offer, answer.response)
  if (verdict._tag === "Refusal") return "a client refuses what a server has agreed to"
  if (answer.codecs.length !== 1 || verdict.codecs.length !== 1) return "two ends of ours do not agree"
  const said = saidBy(answer.extensions[0]!.parameters)
  if (said === undefined || !isAnswer(offered, said)) return "an answer is none to what was offered"
  try {
    return checkMessages(random, answer.codecs, verdict.codecs) ?? checkMessages(random, verdict.codecs, answer.codecs)
  } finally {
    for (const { end } of [...answer.codecs, ...verdict.codecs]) end?.()
  }
}

/** Milliseconds that a long value may take at the very most; only what is slow three times is slow. */
const PATIENCE = 250

const checkTime = (random: Random, value: string, read: (value: string) => unknown): string | undefined => {
  const at = random.below(value.length + 1)
  const long = value.slice(0, at) + value.slice(at, at + 1 + random.below(40)).repeat(2000) + value.slice(at)
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = performance.now()
    read(long)
    if (performance.now() - start < PATIENCE) return undefined
  }
  return "reading a long value takes more than linear time"
}

/** The mode; another extension can be put in the place of ours, to see that its faults are found. */
export const negotiationMode = (
  make: Make = (options) => PerMessageDeflate.make(NodeDeflate.service, options)
): Mode => ({
  name: "negotiation",
  generate,
  check: (input, seed) => {
    const random = new Random(usage(seed))
    const value = Buffer.from(input).toString("latin1")
    const server = make(optionsOf(random))
    const client = make(optionsOf(random))
    const offer: Handshake.ClientOffer = {
      target: "/",
      host: "example.com",
      key: "dGhlIHNhbXBsZSBub25jZQ==",
      subprotocols: [],
      extensions: [client],
      headers: []
    }
    const offered = saidBy(client.offers[0]!)
    if (offered === undefined) return "an offer is none by RFC 7692"
    const found = checkAnswer(server, offer, value) ?? checkAccept(client, offer, value)
    if (found !== undefined) return found
    if (random.oneIn(4)) return checkRound(random, server, offer, offered)
    if (!random.oneIn(40)) return undefined
    return checkTime(random, value, (long) => [checkAnswer(server, offer, long), checkAccept(client, offer, long)])
  }
})

export const negotiation: Mode = negotiationMode()
