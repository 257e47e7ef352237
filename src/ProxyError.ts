import * as Data from "effect/Data"
import type { ResponseHead } from "./protocol/Handshake.js"
import { why } from "./TransportError.js"

/** Why there is no way through a proxy. */
export type Reason =
  /** What was given as a proxy is none. */
  | { readonly _tag: "InvalidProxy"; readonly problem: string }
  /** The proxy itself could not be reached; `code` is the system's or TLS's word where it has one. */
  | {
      readonly _tag: "Unreachable"
      readonly operation: "connect" | "tls"
      readonly code: string | undefined
      readonly cause: unknown
    }
  /** An HTTP proxy answered with a status other than 2xx. RFC 9110 §9.3.6. */
  | { readonly _tag: "Rejected"; readonly response: ResponseHead }
  /** A SOCKS proxy refused; the answer is what it said, in words. RFC 1928 §6. */
  | { readonly _tag: "SocksRejected"; readonly answer: string }
  /** The proxy was reached, and then broke off or said what is no answer. */
  | { readonly _tag: "Broken"; readonly code: string | undefined; readonly cause: unknown }
  /** The package `socks`, which speaks to SOCKS proxies, could not be loaded. */
  | { readonly _tag: "NotInstalled"; readonly package: string; readonly cause: unknown }

/** A connection through a proxy could not be had, because of the proxy. */
export class ProxyError extends Data.TaggedError("ProxyError")<{
  /** The proxy's URI, without user information. */
  readonly proxy: string
  /** The host and port that it was to connect to; none where the proxy was refused before anybody wanted to use it. */
  readonly destination?: string | undefined
  readonly reason: Reason
}> {
  override get message() {
    const { proxy, destination, reason } = this
    const aim = destination === undefined ? "use" : `connect to ${destination} through`
    return `cannot ${aim} the proxy ${proxy}: ${describe(reason)}`
  }
}

const describe = (reason: Reason): string => {
  switch (reason._tag) {
    case "InvalidProxy":
      return `${reason.problem}. Give a URI like http://user:password@host:port; http, https, socks4, socks4a, socks5 and socks5h are known.`
    case "Unreachable":
      return reason.operation === "tls"
        ? `no agreement on TLS with it: ${why(reason.cause)}. Trust its certificate or authority with the option tls.ca of the proxy; if it speaks no TLS, use http:// for it.`
        : `it cannot be reached: ${why(reason.cause)}. Is the proxy running, and on this port?`
    case "Rejected":
      return `it answered with status ${reason.response.status}${statusAdvice(reason.response.status)}`
    case "SocksRejected":
      return `it answered: ${reason.answer}. Check the user and password in its URI, and whether it may connect there.`
    case "Broken":
      return `it gave no answer that opens a tunnel: ${why(reason.cause)}. Is it a proxy of that kind, on that port?`
    case "NotInstalled":
      return `the package ${reason.package} is needed for it. Install it: npm install ${reason.package}@2`
  }
}

const statusAdvice = (status: number): string => {
  switch (status) {
    case 407:
      return ". Give a user and password that it knows in its URI."
    case 403:
    case 405:
      return ". It does not allow connections there: ask who runs it, or except the host."
    case 502:
    case 503:
    case 504:
      return ". It could not reach the destination: check host and port."
    default:
      return ""
  }
}
