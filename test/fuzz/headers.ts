import { Buffer } from "node:buffer"
import * as Handshake from "../../src/protocol/Handshake.js"
import * as headers from "../../src/protocol/headers.js"
import { isSameOrigin } from "../../src/protocol/origin.js"
import * as uri from "../../src/protocol/uri.js"
import type { Mode } from "./mode.js"
import { usage } from "./mode.js"
import { Random } from "./random.js"
import { damage } from "./streams.js"
import { policies, toys } from "./toys.js"

/** What is read of header values, URIs and origins: any text at all, in linear time, never a throw. */

const words = [
  "permessage-deflate",
  "client_max_window_bits",
  "server_no_context_takeover",
  "a",
  "b",
  "chat",
  "superchat",
  "v1.json",
  "websocket",
  "Upgrade",
  "keep-alive",
  "13",
  "0",
  "15",
  "08",
  "+9",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "dGhlIHNhbXBsZSBub25jZQ==",
  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  "ws",
  "wss",
  "http",
  "https",
  "example.com",
  "localhost",
  "[::1]",
  "127.0.0.1",
  "xn--bcher-kva",
  "bücher",
  "evil.net",
  "80",
  "443",
  "65535",
  "65536",
  "user",
  "p%40ss",
  "%ff",
  "é",
  "\u{1f600}"
]
const marks = [
  ",",
  ";",
  "=",
  " ",
  "\t",
  '"',
  "\\",
  ":",
  "/",
  "//",
  "@",
  "#",
  "?",
  "%",
  ".",
  "-",
  "(",
  ")",
  "\r",
  "\n",
  "\0",
  "\x7f",
  "\xff",
  "[",
  "]"
]
const names = [
  "Host",
  "Upgrade",
  "Connection",
  "Origin",
  "Sec-WebSocket-Key",
  "Sec-WebSocket-Version",
  "Sec-WebSocket-Protocol",
  "Sec-WebSocket-Extensions",
  "Sec-WebSocket-Accept",
  "Content-Length",
  "Transfer-Encoding",
  "__proto__",
  "Cookie"
]
const usual = [
  "Host: example.com",
  "Upgrade: websocket",
  "Connection: keep-alive, Upgrade",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
]

const value = (random: Random): string => {
  let text = ""
  for (let i = random.below(10); i >= 0; i--) {
    text += random.oneIn(2) ? random.pick(words) : random.pick(marks)
    if (random.oneIn(60))
      text += random.pick([" ", "\t", ", ", ";", '"', "\\", "=", "a", "a,", "a;"]).repeat(random.below(6000))
  }
  return text
}

const known = [
  "a; b",
  "a; b=c, d",
  'a; b="c"',
  "chat, superchat",
  "ws://example.com:80/chat?x=1",
  "wss://u:p@[::1]/",
  "http://example.com"
]

const line = (random: Random): string =>
  random.oneIn(3) ? (random.oneIn(2) ? random.pick(known) : value(random)) : `${random.pick(names)}: ${value(random)}`

/** The lines that an input stands for. */
export const linesOf = (input: Uint8Array): ReadonlyArray<string> => Buffer.from(input).toString("utf8").split("\n")

export const headersOf = (lines: ReadonlyArray<string>): Handshake.HeaderList =>
  lines.map((line) => {
    const colon = line.indexOf(":")
    return colon < 0 ? ["", line] : [line.slice(0, colon), line.slice(colon + 1).trim()]
  })

export const generateLines = (random: Random): Uint8Array => {
  const lines = random.oneIn(2) ? [...usual] : []
  for (let i = random.below(4); i >= 0; i--) lines.splice(random.below(lines.length + 1), 0, line(random))
  let bytes: Uint8Array = Buffer.from(lines.join("\n"))
  for (let i = random.oneIn(2) ? 0 : random.below(4); i > 0; i--) bytes = damage(random, bytes)
  return bytes
}

/** Milliseconds that reading 64 KiB may take at the very most; a linear reader needs about one of them. */
const PATIENCE = 250
const LONG = 65_536

const read = (value: string): void => {
  headers.parseExtensions([value])
  headers.parseSubprotocols([value])
  headers.listIncludes([value], "websocket")
  headers.isToken(value)
  headers.isValue(value)
}

/** Repeats a part of a value until it is long; only what is slow three times is slow. */
const checkTime = (random: Random, value: string): string | undefined => {
  const at = random.below(value.length)
  const part = value.slice(at, at + 1 + random.below(4))
  const long = value.slice(0, at) + part.repeat(Math.ceil(LONG / Math.max(1, part.length))) + value.slice(at)
  for (let attempt = 0; attempt < 3; attempt++) {
    const start = performance.now()
    read(long)
    if (performance.now() - start < PATIENCE) return undefined
  }
  return "reading a long value takes more than linear time"
}

const checkLists = (values: ReadonlyArray<string>): string | undefined => {
  const entries = headers.parseExtensions(values)
  if (entries !== undefined) {
    const written = entries.map(({ name, parameters }) => headers.formatExtension(name, parameters)).join(", ")
    const again = headers.parseExtensions([written])
    if (JSON.stringify(again) !== JSON.stringify(entries)) return "extensions read, written and read are others"
    const tokens = entries.flatMap(({ name, parameters }) => [
      name,
      ...parameters.flatMap((p) => [p.name, p.value ?? "x"])
    ])
    if (!tokens.every(headers.isToken)) return "an extension has a name or a value that is no token"
  }
  const names = headers.parseSubprotocols(values)
  if (names !== undefined && (!names.every(headers.isToken) || new Set(names).size < names.length)) {
    return "subprotocols are no different tokens"
  }
  const includes = headers.listIncludes(values, "websocket")
  const bare = values.join(",").toLowerCase()
  return includes && !bare.includes("websocket") ? "a list includes what is not in it" : undefined
}

const checkUri = (text: string): string | undefined => {
  const parsed = uri.parse(text)
  if (typeof parsed === "string") return parsed === "" ? "a URI is refused without a reason" : undefined
  const { hostname, target, port } = parsed
  if (!target.startsWith("/") || !headers.isValue(target) || /[\s#]/.test(target)) return "a target breaks its line"
  if (hostname === "" || /[\s/@?#]/.test(hostname) || !headers.isValue(hostname)) return "a host name breaks its line"
  if (!Number.isInteger(port) || port < 0 || port > 65535) return "a port is none"
  return isSameOrigin(`http://${uri.authority(parsed)}`, uri.authority(parsed))
    ? undefined
    : "a host is not its own origin"
}

/** No answer of ours has a line that its reader could take for two. */
const isSafe = (response: Handshake.ResponseHead): boolean =>
  response.headers.every(([name, value]) => headers.isToken(name) && headers.isValue(value))

const checkHandshake = (random: Random, list: Handshake.HeaderList): string | undefined => {
  const request: Handshake.RequestHead = {
    method: random.oneIn(8) ? random.pick(words) : "GET",
    target: random.oneIn(8) ? random.pick(words) : "/",
    version: random.pick(["1.1", "1.1", "1.1", "1.0", "2"]),
    headers: list
  }
  Handshake.checkRequest(request)
  const answer = Handshake.answer(request, random.pick(policies))
  if (!isSafe(answer._tag === "Agreement" ? answer.response : answer))
    return "an answer has a header that breaks its line"
  if (answer._tag === "Agreement") {
    if (answer.response.status !== 101) return "an agreement is not answered with 101"
  } else if (answer.status < 400 || answer.status > 505) return "a refusal has the status of none"
  const offer: Handshake.ClientOffer = {
    target: "/",
    host: "example.com",
    key: "dGhlIHNhbXBsZSBub25jZQ==",
    subprotocols: random.oneIn(2) ? ["chat"] : [],
    extensions: random.oneIn(2) ? toys : [],
    headers: []
  }
  const verdict = Handshake.verify(offer, { status: random.oneIn(8) ? 200 : 101, headers: list })
  if (verdict._tag === "Refusal") return undefined
  const accept = headers.only(list, "sec-websocket-accept")?.trim()
  return accept === Handshake.acceptKey(offer.key) ? undefined : "a client takes an answer to another key"
}

export const headersMode: Mode = {
  name: "headers",
  generate: generateLines,
  check: (input, seed) => {
    const random = new Random(usage(seed))
    const lines = linesOf(input)
    const list = headersOf(lines)
    const values = list.map(([, value]) => value)
    for (const text of [...lines, ...values]) {
      const found = checkLists([text]) ?? checkUri(text)
      if (found !== undefined) return found
      isSameOrigin(text, random.pick(values))
    }
    const found = checkLists(values) ?? checkHandshake(random, list)
    if (found !== undefined) return found
    return random.oneIn(40) ? checkTime(random, random.pick(values)) : undefined
  }
}
