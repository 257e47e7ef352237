import type { Codec, Entry, Extension } from "./Extension.js"
import { reservedBits } from "./Extension.js"
import type { HeaderList } from "./headers.js"
import * as headers from "./headers.js"
import { isSameOrigin } from "./origin.js"
import { sha1 } from "./sha1.js"

/**
 * Both sides of the opening handshake, as functions of values.
 *
 * @see RFC 6455 §4
 */

export type { HeaderList } from "./headers.js"

/** A request's head: the target in any form, headers raw, with their order and repeats. */
export interface RequestHead {
  readonly method: string
  readonly target: string
  readonly version: "1.0" | "1.1" | "2"
  readonly headers: HeaderList
}

/** A response's head. */
export interface ResponseHead {
  readonly status: number
  /** Where it is not said, one that has upgrades. */
  readonly version?: RequestHead["version"] | undefined
  readonly headers: HeaderList
}

/** A response that refuses; its text tells a person what to do. */
export interface Rejection extends ResponseHead {
  readonly _tag: "Rejection"
  readonly isLast: true
  readonly body: string
}

/** What both ends have agreed on. */
export interface Agreement {
  readonly _tag: "Agreement"
  readonly response: ResponseHead
  readonly subprotocol: string | undefined
  /** The agreed extensions as the answer names them, and their codecs in the same order. */
  readonly extensions: ReadonlyArray<Entry>
  readonly codecs: ReadonlyArray<Codec>
}

export const rejection = (status: number, body: string, ...extra: HeaderList): Rejection => ({
  _tag: "Rejection",
  isLast: true,
  status,
  headers: [["Content-Type", "text/plain; charset=utf-8"], ...extra],
  body: `${body}\n`
})

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/** The value of `Sec-WebSocket-Accept` that answers a key. RFC 6455 §4.2.2 (5.4). */
export const acceptKey = (key: string): string => sha1(key + GUID)

const upgradeRequired = (body: string, ...extra: HeaderList): Rejection =>
  rejection(426, body, ["Upgrade", "websocket"], ["Connection", "Upgrade"], ...extra)

/** How large a request's head may be, in bytes and in headers; what HTTP servers commonly allow. */
export const maxTarget = 8190
export const maxHeaderLine = 8190
export const maxHeaders = 128
export const maxHead = 16_384

const checkSize = (request: RequestHead): Rejection | undefined => {
  if (request.target.length > maxTarget) {
    return rejection(414, `The request target is longer than ${maxTarget} bytes. Shorten the URL.`)
  }
  if (request.headers.length > maxHeaders) {
    return rejection(431, `The request has more than ${maxHeaders} headers. Send fewer.`)
  }
  let size = request.method.length + request.target.length + 12
  for (const [name, value] of request.headers) {
    const line = name.length + value.length + 4
    if (line > maxHeaderLine) {
      return rejection(431, `A header of the request is longer than ${maxHeaderLine} bytes. Shorten it.`)
    }
    size += line
  }
  return size > maxHead ? rejection(431, `The request's headers exceed ${maxHead} bytes. Send less.`) : undefined
}

/** A host, with a port or without: RFC 9110 §7.2. User information, paths and blanks are no part of it. */
const isHost = (host: string): boolean => {
  if (host === lastHost) return true
  if (host === "" || !/^[^\s/?#@\\]+$/.test(host) || !URL.canParse(`http://${host}/`)) return false
  lastHost = host
  return true
}

/** The latest that was right: a server hears the same one again and again. */
let lastHost: string | undefined

const hasBody = (request: RequestHead): boolean =>
  headers.all(request.headers, "transfer-encoding").length > 0 ||
  headers.all(request.headers, "content-length").some((length) => length.trim() !== "0")

/** §4.1 (7): sixteen bytes in base64; the last character before the padding carries two bits only. */
const isKey = (key: string): boolean => /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key)

/** Whether a request asks for a WebSocket at all, well or badly; any other is for the request hook. */
export const isUpgrade = (request: RequestHead): boolean =>
  headers.listIncludes(headers.all(request.headers, "upgrade"), "websocket")

/** What every request must satisfy, for a page or for a WebSocket. */
export const checkRequest = (request: RequestHead): Rejection | undefined => {
  const tooLarge = checkSize(request)
  if (tooLarge !== undefined) return tooLarge
  const host = headers.all(request.headers, "host")
  if (request.version !== "1.0" || host.length > 0) {
    // RFC 9112 §3.2: exactly one Host.
    if (host.length !== 1) return rejection(400, "Exactly one Host header is needed. Send one.")
    if (!isHost(host[0]!))
      return rejection(400, "The Host header is malformed. Send a host name, with a port if needed.")
  }
  return undefined
}

/** What a request for a WebSocket must satisfy. §4.2.1. */
export const checkUpgrade = (request: RequestHead): Rejection | undefined => {
  const values = (name: string) => headers.all(request.headers, name)
  if (request.version === "1.0") return rejection(505, "A WebSocket needs HTTP/1.1 or later. Use that version.")
  if (request.method !== "GET") {
    return rejection(405, `A WebSocket is asked for with GET, not with ${request.method}.`, ["Allow", "GET"])
  }
  if (!isUpgrade(request)) return upgradeRequired("This is a WebSocket server. Connect with a WebSocket client.")
  if (!headers.listIncludes(values("connection"), "upgrade")) {
    return upgradeRequired("The Connection header has no 'upgrade'. Connect with a WebSocket client.")
  }
  const version = values("sec-websocket-version")
  if (version.length !== 1 || version[0]!.trim() !== "13") {
    return upgradeRequired("Only version 13 of the protocol is spoken here.", ["Sec-WebSocket-Version", "13"])
  }
  if (hasBody(request)) return rejection(400, "A request for a WebSocket has no body. Send it without one.")
  const key = values("sec-websocket-key")
  if (key.length !== 1 || !isKey(key[0]!)) {
    return rejection(400, "Sec-WebSocket-Key must be there once and hold 16 bytes in base64.")
  }
  return undefined
}

export interface ServerPolicy {
  /** The subprotocols that the server speaks, its first choice first; or a function of those that the client offers. */
  readonly subprotocols?: ReadonlyArray<string> | ((offered: ReadonlyArray<string>) => string | undefined) | undefined
  /** Whether a client that offers none of the listed ones may go on without any; it gets 400 unless told otherwise. */
  readonly subprotocolOptional?: boolean | undefined
  /** Which values of `Origin` are let in, a pattern being one of all of it; the request's own host unless told otherwise. RFC 6455 §10.2. */
  readonly origins?: ReadonlyArray<string | RegExp | null> | undefined
  /** Let in every origin, and with it every page that a user visits: cross-site WebSocket hijacking. */
  readonly dangerouslyAcceptAnyOrigin?: boolean | undefined
  readonly extensions?: ReadonlyArray<Extension> | undefined
}

/** A pattern has to match all of an origin: one that matches a part of it would let `example.com.evil.net` in. */
const isListed = (origin: string, entry: string | RegExp | null): boolean => {
  if (entry === null) return origin === "null"
  if (typeof entry === "string") return entry === origin
  // A pattern of its own, as flags like g would remember where the last match was.
  return new RegExp(`^(?:${entry.source})$`, entry.flags.replace(/[gy]/g, "")).test(origin)
}

const checkOrigin = (request: RequestHead, policy: ServerPolicy): Rejection | undefined => {
  if (policy.dangerouslyAcceptAnyOrigin === true) return undefined
  const origins = headers.all(request.headers, "origin")
  if (origins.length === 0) return undefined // not a browser
  const origin = origins[0]!
  const allowed =
    origins.length === 1 &&
    (policy.origins === undefined
      ? isSameOrigin(origin, headers.only(request.headers, "host") ?? "")
      : policy.origins.some((entry) => isListed(origin, entry)))
  return allowed ? undefined : rejection(403, "Pages of this origin may not connect here.")
}

const chooseSubprotocol = (request: RequestHead, policy: ServerPolicy): string | undefined | Rejection => {
  const offered = headers.parseSubprotocols(headers.all(request.headers, "sec-websocket-protocol"))
  if (offered === undefined) return rejection(400, "Sec-WebSocket-Protocol must be a list of different tokens.")
  const { subprotocols } = policy
  if (subprotocols === undefined) return undefined
  const chosen =
    typeof subprotocols === "function" ? subprotocols(offered) : subprotocols.find((name) => offered.includes(name))
  if (chosen === undefined && typeof subprotocols !== "function" && policy.subprotocolOptional !== true) {
    return rejection(400, `A subprotocol is needed, one of: ${subprotocols.join(", ")}.`)
  }
  if (chosen !== undefined && !offered.includes(chosen)) {
    // §4.2.2: only what the client has offered; a function that says otherwise is the server's fault.
    return rejection(500, "The server chose a subprotocol that was not offered.")
  }
  return chosen
}

interface Agreed {
  readonly entries: Array<Entry>
  readonly codecs: Array<Codec>
}

/** §9.1: the client's order of preference; each extension once, none that wants a bit already given away. */
const chooseExtensions = (request: RequestHead, extensions: ReadonlyArray<Extension>): Agreed | Rejection => {
  const agreed: Agreed = { entries: [], codecs: [] }
  const offers = headers.parseExtensions(headers.all(request.headers, "sec-websocket-extensions"))
  if (offers === undefined) return rejection(400, "Sec-WebSocket-Extensions is malformed.")
  for (const offer of offers) {
    const extension = extensions.find(({ name }) => name === offer.name)
    if (extension === undefined || agreed.entries.some(({ name }) => name === offer.name)) continue
    const answer = extension.answer(offer.parameters)
    if (answer === undefined || reservedBits([...agreed.codecs, answer.codec]) === undefined) continue
    agreed.entries.push({ name: offer.name, parameters: answer.parameters })
    agreed.codecs.push(answer.codec)
  }
  return agreed
}

/** A server's answer to a request for a WebSocket: 101 and what is agreed, or a refusal. §4.2.2. */
export const answer = (request: RequestHead, policy: ServerPolicy): Agreement | Rejection => {
  const refused = checkUpgrade(request) ?? checkOrigin(request, policy)
  if (refused !== undefined) return refused
  const subprotocol = chooseSubprotocol(request, policy)
  if (typeof subprotocol === "object") return subprotocol
  const agreed = chooseExtensions(request, policy.extensions ?? [])
  if ("_tag" in agreed) return agreed
  const response: Array<readonly [string, string]> = [
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Accept", acceptKey(headers.only(request.headers, "sec-websocket-key")!)]
  ]
  if (subprotocol !== undefined) response.push(["Sec-WebSocket-Protocol", subprotocol])
  if (agreed.entries.length > 0) response.push(["Sec-WebSocket-Extensions", formatEntries(agreed.entries)])
  return {
    _tag: "Agreement",
    response: { status: 101, headers: response },
    subprotocol,
    extensions: agreed.entries,
    codecs: agreed.codecs
  }
}

const formatEntries = (entries: ReadonlyArray<Entry>): string =>
  entries.map(({ name, parameters }) => headers.formatExtension(name, parameters)).join(", ")

/** What a client wants. */
export interface ClientOffer {
  /** Path and query. */
  readonly target: string
  /** The value of `Host`. */
  readonly host: string
  /** Sixteen random bytes in base64. */
  readonly key: string
  readonly subprotocols: ReadonlyArray<string>
  readonly extensions: ReadonlyArray<Extension>
  /** Sent as they are, after those of the handshake. */
  readonly headers: HeaderList
}

/** A client's request. §4.1. */
export const request = (offer: ClientOffer): RequestHead => {
  const fields: Array<readonly [string, string]> = [
    ["Host", offer.host],
    ["Upgrade", "websocket"],
    ["Connection", "Upgrade"],
    ["Sec-WebSocket-Key", offer.key],
    ["Sec-WebSocket-Version", "13"]
  ]
  if (offer.subprotocols.length > 0) fields.push(["Sec-WebSocket-Protocol", offer.subprotocols.join(", ")])
  const offers = offer.extensions.flatMap(({ name, offers }) => offers.map((parameters) => ({ name, parameters })))
  if (offers.length > 0) fields.push(["Sec-WebSocket-Extensions", formatEntries(offers)])
  return { method: "GET", target: offer.target, version: "1.1", headers: [...fields, ...offer.headers] }
}

/** Why a response does not open a WebSocket: a header and what is wrong with it, or the status. */
export type Refusal =
  | { readonly _tag: "Refusal"; readonly reason: "status" }
  | { readonly _tag: "Refusal"; readonly reason: "header"; readonly header: string; readonly problem: string }

const badHeader = (header: string, problem: string): Refusal => ({ _tag: "Refusal", reason: "header", header, problem })

/** A client's reading of the server's answer. §4.1, second list. */
export const verify = (offer: ClientOffer, response: ResponseHead): Agreement | Refusal => {
  const values = (name: string) => headers.all(response.headers, name)
  if (response.status !== 101) return { _tag: "Refusal", reason: "status" }
  // RFC 9110 §7.8
  if (response.version === "1.0") return badHeader("Upgrade", "came with HTTP/1.0, where it means nothing")
  if (!headers.listIncludes(values("upgrade"), "websocket")) return badHeader("Upgrade", "does not say websocket")
  if (!headers.listIncludes(values("connection"), "upgrade")) return badHeader("Connection", "does not say Upgrade")
  const accept = values("sec-websocket-accept")
  if (accept.length !== 1) return badHeader("Sec-WebSocket-Accept", "is not there exactly once")
  if (accept[0]!.trim() !== acceptKey(offer.key)) return badHeader("Sec-WebSocket-Accept", "does not answer our key")
  const subprotocol = verifySubprotocol(offer, values("sec-websocket-protocol"))
  if (typeof subprotocol === "object") return subprotocol
  const agreed = verifyExtensions(offer, values("sec-websocket-extensions"))
  if ("_tag" in agreed) return agreed
  return { _tag: "Agreement", response, subprotocol, extensions: agreed.entries, codecs: agreed.codecs }
}

/** What is wrong where the server chose none of what was offered. */
export const noSubprotocol = (offered: ReadonlyArray<string>): string =>
  `is missing: the server speaks none of ${offered.join(", ")}`

const verifySubprotocol = (offer: ClientOffer, values: ReadonlyArray<string>): string | undefined | Refusal => {
  const header = "Sec-WebSocket-Protocol"
  if (values.length > 1) return badHeader(header, "is there more than once")
  const chosen = values[0]?.trim()
  if (chosen !== undefined && !offer.subprotocols.includes(chosen)) return badHeader(header, "was not offered")
  if (chosen === undefined && offer.subprotocols.length > 0) {
    return badHeader(header, noSubprotocol(offer.subprotocols))
  }
  return chosen
}

const verifyExtensions = (offer: ClientOffer, values: ReadonlyArray<string>): Agreed | Refusal => {
  const header = "Sec-WebSocket-Extensions"
  const entries = headers.parseExtensions(values)
  if (entries === undefined) return badHeader(header, "is malformed")
  const agreed: Agreed = { entries: [], codecs: [] }
  for (const entry of entries) {
    const extension = offer.extensions.find(({ name }) => name === entry.name)
    if (extension === undefined) return badHeader(header, `has ${entry.name}, which was not offered`)
    if (agreed.entries.some(({ name }) => name === entry.name)) return badHeader(header, `has ${entry.name} twice`)
    const codec = extension.accept(entry.parameters)
    if (codec === undefined) return badHeader(header, `has parameters of ${entry.name} that do not answer the offer`)
    agreed.entries.push(entry)
    agreed.codecs.push(codec)
  }
  if (reservedBits(agreed.codecs) === undefined)
    return badHeader(header, "has extensions that use the same reserved bit, or none")
  return agreed
}
