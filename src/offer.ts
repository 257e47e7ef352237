import * as Redacted from "effect/Redacted"
import type { Reason } from "./HandshakeError.js"
import type { Extension } from "./protocol/Extension.js"
import type { ClientOffer } from "./protocol/Handshake.js"
import { areTokens, isToken, isValue } from "./protocol/headers.js"
import * as uri from "./protocol/uri.js"

/** A value of a header; one that is `Redacted` shows up in no log. */
export type HeaderValue = string | Redacted.Redacted<string>

/** What goes into the request of an opening handshake beside what the handshake itself needs. */
export interface OfferOptions {
  /** What the client speaks, its first choice first; the server has to choose one of them. RFC 6455 §1.9. */
  readonly subprotocols?: ReadonlyArray<string> | undefined
  /** The extensions that are offered, the first choice first: those of `Framing` unless told otherwise. RFC 6455 §9. */
  readonly extensions?: ReadonlyArray<Extension> | undefined
  /** The header `Origin`, as a browser would send it: none unless told otherwise. RFC 6455 §10.2. */
  readonly origin?: string | undefined
  /** The header `User-Agent`: none unless told otherwise. */
  readonly userAgent?: string | undefined
  /**
   * Headers beside those of the handshake, each with one value or several; `Authorization` here wins over the URI's
   * user. Redirects to another origin leave `Authorization`, `Cookie` and each header with a `Redacted` value behind.
   * `Proxy-Authorization` is refused: the proxy's URI carries user and password.
   */
  readonly headers?: Readonly<Record<string, HeaderValue | ReadonlyArray<HeaderValue>>> | undefined
}

/** What the handshake itself says, and what only a proxy or the transport may say. */
const reserved = new Set(["host", "upgrade", "connection", "content-length", "transfer-encoding", "trailer", "expect"])

/** What only the server that the user named may know, beside what is redacted: redirects to another origin leave it behind. */
const credentials = new Set(["authorization", "cookie"])

const invalid = (option: string, problem: string): Reason => ({ _tag: "InvalidOption", option, problem })

const listOf = (values: HeaderValue | ReadonlyArray<HeaderValue>): ReadonlyArray<HeaderValue> =>
  typeof values === "string" || Redacted.isRedacted(values) ? [values] : values

/** Both headers; of those with the same name, whatever its case, the latter's. */
export const mergeHeaders = (
  some: OfferOptions["headers"] = {},
  others: OfferOptions["headers"] = {}
): NonNullable<OfferOptions["headers"]> => {
  const names = new Set(Object.keys(others).map((name) => name.toLowerCase()))
  const rest = Object.entries(some).filter(([name]) => !names.has(name.toLowerCase()))
  return { ...Object.fromEntries(rest), ...others }
}

/** Why a header of this name cannot be sent, as the end of a sentence. */
const problemOf = (name: string): string | undefined => {
  const lower = name.toLowerCase()
  if (lower === "proxy-authorization") {
    return `has ${name}, which the server would see instead of a proxy. Give user and password in the proxy's URI`
  }
  return reserved.has(lower) || lower.startsWith("sec-websocket-")
    ? `has ${name}, which the handshake sends itself`
    : undefined
}

/** The headers that the user asks for, or why they cannot be sent. */
const headersOf = (
  target: uri.WebSocketUri,
  options: OfferOptions,
  isForeign: boolean
): Array<readonly [string, string]> | Reason => {
  const headers: Array<readonly [string, string]> = []
  const given = Object.entries(options.headers ?? {})
  const authorizes = given.some(([name]) => name.toLowerCase() === "authorization")
  if (target.credentials !== undefined && !authorizes) headers.push(["Authorization", uri.basic(target.credentials)])
  if (options.origin !== undefined) headers.push(["Origin", options.origin])
  if (options.userAgent !== undefined) headers.push(["User-Agent", options.userAgent])
  for (const [name, values] of given) {
    const problem = problemOf(name)
    if (problem !== undefined) return invalid("headers", problem)
    const list = listOf(values)
    if (isForeign && (credentials.has(name.toLowerCase()) || list.some(Redacted.isRedacted))) continue
    for (const value of list) headers.push([name, Redacted.isRedacted(value) ? Redacted.value(value) : value])
  }
  for (const [name, value] of headers) {
    if (!isToken(name)) return invalid("headers", `has the name ${JSON.stringify(name)}, which is not a token`)
    if (!isValue(value)) return invalid("headers", `has a value of ${name} with control characters or beyond Latin-1`)
  }
  return headers
}

/**
 * What a client offers to a server, or which option of it could not be sent.
 * A foreign server is one that a redirect led to from another origin.
 */
export const makeOffer = (
  target: uri.WebSocketUri,
  options: OfferOptions,
  { key, extensions, isForeign }: Pick<ClientOffer, "key" | "extensions"> & { readonly isForeign: boolean }
): ClientOffer | Reason => {
  const subprotocols = options.subprotocols ?? []
  if (!areTokens(subprotocols)) {
    return invalid("subprotocols", "must be a list of different tokens, without blanks, commas or quotes")
  }
  const headers = headersOf(target, options, isForeign)
  if ("_tag" in headers) return headers
  return {
    target: target.target,
    host: uri.authority(target),
    key,
    subprotocols,
    extensions,
    headers
  }
}
