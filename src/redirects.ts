import type { Answer, Reason } from "./HandshakeError.js"
import type { ResponseHead } from "./protocol/Handshake.js"
import * as headers from "./protocol/headers.js"
import * as uri from "./protocol/uri.js"
import * as utf8 from "./protocol/utf8.js"

/**
 * The rules of redirects in the opening handshake.
 *
 * @see RFC 6455 §4.1, RFC 9110 §15.4
 */

const statuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export const isRedirect = ({ status }: ResponseHead): boolean => statuses.has(status)

/** The URIs that were asked so far, from the one that the user gave to the last. */
export type Journey = readonly [uri.WebSocketUri, ...ReadonlyArray<uri.WebSocketUri>]

export const last = (journey: Journey): uri.WebSocketUri => journey[journey.length - 1] ?? journey[0]

/** Whether a journey has left the origin where it began, be it that it came back: what that origin may know stays there. */
export const hasLeft = (journey: Journey): boolean => journey.some((visited) => !uri.isSameOrigin(visited, journey[0]))

/** Where an answer leads, or why nobody may go there. */
export const next = (journey: Journey, answer: Answer, maxRedirects: number): uri.WebSocketUri | Reason => {
  const { response, body } = answer
  const from = last(journey)
  const target = resolve(from, headers.all(response.headers, "location"))
  if (typeof target === "string") return { _tag: "InvalidRedirect", problem: target, response, body }
  const to = uri.show(target)
  if (from.secure && !target.secure) return { _tag: "InsecureRedirect", to, response, body }
  if (journey.some((visited) => uri.isSameOrigin(visited, target) && visited.target === target.target)) {
    return { _tag: "RedirectLoop", to, response, body }
  }
  if (journey.length > maxRedirects) return { _tag: "TooManyRedirects", maxRedirects, to, response, body }
  const keepsCredentials = !hasLeft(journey) && uri.isSameOrigin(from, target)
  return { ...target, credentials: keepsCredentials ? from.credentials : undefined }
}

/** The target of a `Location`, which may be relative, as a URI of WebSockets; or what is wrong with it. */
const resolve = (from: uri.WebSocketUri, locations: ReadonlyArray<string>): uri.WebSocketUri | string => {
  const [location, ...others] = locations
  if (location === undefined) return "says not where to: the answer has no Location"
  if (others.length > 0) return "says not where to: the answer has more than one Location"
  const base = `${from.secure ? "wss" : "ws"}://${uri.authority(from)}${from.target}`
  let url: URL
  try {
    url = new URL(asText(location), base)
  } catch {
    return "its Location cannot be followed: it is no URI"
  }
  // Servers and proxies that know nothing of WebSockets speak of http and https.
  const scheme = url.protocol.replace(/^http/, "ws")
  // RFC 9110 §10.2.2: a fragment is nothing for the server. User information would be the server's choice of who we are.
  const parsed = uri.parse(`${scheme}//${url.host}${url.pathname}${url.search}`)
  return typeof parsed === "string" ? `its Location cannot be followed: ${parsed}` : parsed
}

/** A header comes with one character for each byte, and a `Location` with raw UTF-8 in it is common. */
const asText = (location: string): string => {
  if (!headers.isValue(location)) return location
  const bytes = Uint8Array.from(location, (character) => character.charCodeAt(0))
  return utf8.decode(bytes, 0, bytes.length) ?? location
}
