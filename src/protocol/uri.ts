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
  readonly credentials: { readonly username: string; readonly password: string } | undefined
}

/** Reads a URI, or says in a sentence what is wrong with it. */
export const parse = (uri: string | URL): WebSocketUri | string => {
  let url: URL
  try {
    url = new URL(uri)
  } catch {
    return "it is not an absolute URI"
  }
  const secure = url.protocol === "wss:"
  if (!secure && url.protocol !== "ws:") return `its scheme is ${url.protocol.slice(0, -1)}, not ws or wss`
  // §3: fragment identifiers are meaningless and must not be used.
  if (url.hash !== "" || url.href.endsWith("#")) return "it has a fragment, which a WebSocket URI must not"
  const username = decode(url.username)
  const password = decode(url.password)
  if (username === undefined || password === undefined) return "its user information is not percent-encoded UTF-8"
  return {
    secure,
    hostname: url.hostname,
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    target: `${url.pathname}${url.search}`,
    credentials: username === "" && password === "" ? undefined : { username, password }
  }
}

const decode = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** What `Host` and an authority in a sentence say: the port only where it is not the scheme's own. */
export const authority = ({ secure, hostname, port }: WebSocketUri): string =>
  port === (secure ? 443 : 80) ? hostname : `${hostname}:${port}`
