import * as utf8 from "./utf8.js"

/**
 * What a WebSocket URI says.
 *
 * @see RFC 6455 §3
 */
export interface WebSocketUri {
  readonly secure: boolean
  /** As `Host` has it: an IPv6 address keeps its brackets; international names are in their ASCII form. */
  readonly hostname: string
  readonly port: number
  /** Path and query: what the request line asks for. */
  readonly target: string
  /** The user's name and password, decoded. */
  readonly credentials: Credentials | undefined
}

export interface Credentials {
  readonly username: string
  readonly password: string
}

/** Reads a URI, or says in a sentence what is wrong with it. */
export const parse = (uri: string | URL): WebSocketUri | string => {
  let url: URL
  try {
    url = new URL(uri)
  } catch {
    return "it is not an absolute URI"
  }
  const scheme = url.protocol.slice(0, -1)
  if (scheme === "http") return "its scheme is http: use ws for the same server"
  if (scheme === "https") return "its scheme is https: use wss for the same server"
  if (scheme !== "ws" && scheme !== "wss") return `its scheme is ${scheme}, not ws or wss`
  const secure = scheme === "wss"
  // §3: fragment identifiers are meaningless and must not be used.
  if (url.hash !== "" || url.href.endsWith("#")) return "it has a fragment, which a WebSocket URI must not"
  const username = decode(url.username)
  const password = decode(url.password)
  if (username === undefined || password === undefined) return "its user information is not percent-encoded UTF-8"
  const problem = checkCredentials({ username, password })
  if (problem !== undefined) return `its user information ${problem}`
  return {
    secure,
    hostname: url.hostname,
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    target: `${url.pathname}${url.search}`,
    credentials: username === "" && password === "" ? undefined : { username, password }
  }
}

/** A part of user information without its percent-encoding; undefined where that is broken. */
export const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** What `Host` and an authority in a sentence say: the port only where it is not the scheme's own. */
export const authority = ({ secure, hostname, port }: WebSocketUri): string =>
  port === (secure ? 443 : 80) ? hostname : `${hostname}:${port}`

/** A URI as errors show it: without user information and query, which may be secrets. */
export const show = (uri: WebSocketUri): string =>
  `${uri.secure ? "wss" : "ws"}://${authority(uri)}${uri.target.replace(/\?.*$/s, "")}`

/** What is wrong with a URI may be its user information itself, so all up to the last `@` goes, wherever that is. */
export const withoutSecrets = (input: string): string =>
  input
    .replace(/^([a-z][a-z0-9+.-]*:[/\\]+)?.*@/is, (_, scheme: string | undefined) => scheme ?? "")
    .replace(/[?#].*$/s, "")

/** Whether two URIs are the same server for what only one server may know. RFC 6454 §5. */
export const isSameOrigin = (one: WebSocketUri, other: WebSocketUri): boolean =>
  one.secure === other.secure && one.hostname === other.hostname && one.port === other.port

/** Why Basic authentication cannot carry a name and a password, as the end of a sentence. RFC 7617 §2. */
export const checkCredentials = ({ username, password }: Credentials): string | undefined => {
  if (username.includes(":")) return "has a colon in the user name, where Basic authentication would end it"
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
  return /[\x00-\x1f\x7f]/.test(username + password) ? "has control characters" : undefined
}

/** The value of `Authorization` and `Proxy-Authorization` for a user. RFC 7617 §2. */
export const basic = ({ username, password }: Credentials): string =>
  `Basic ${btoa(Array.from(utf8.encode(`${username}:${password}`), (byte) => String.fromCharCode(byte)).join(""))}`
