import * as Data from "effect/Data"

/** What was being done when the transport failed. */
export type Operation = "connect" | "tls" | "handshake" | "stream"

/**
 * The stream of bytes to a peer could not be had, or broke.
 *
 * `code` is the system's or TLS's word where it has one, as `ECONNREFUSED` or
 * `DEPTH_ZERO_SELF_SIGNED_CERT`, and `ERR_CONNECTOR_OPTION` where it is an
 * option of the connector's that does not allow it; `peer` is the other end's
 * host and port.
 */
export class TransportError extends Data.TaggedError("TransportError")<{
  readonly operation: Operation
  readonly peer: string
  readonly code: string | undefined
  readonly cause: unknown
}> {
  override get message() {
    return `${failed[this.operation]} ${this.peer}: ${why(this.cause)}${advice(this.operation, this.code)}`
  }
}

/** The words of a cause. A name with several addresses fails with an error for each of them, and no sentence for all. */
export const why = (cause: unknown): string => {
  if (cause instanceof AggregateError) return cause.errors.map(why).join("; ")
  return cause instanceof Error ? cause.message.trim() : String(cause ?? "no reason given")
}

/** The system's or TLS's word for a cause, where it has one. */
export const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const failed: Record<Operation, string> = {
  connect: "cannot connect to",
  tls: "cannot agree on TLS with",
  handshake: "no HTTP answer from",
  stream: "lost the connection to"
}

const advice = (operation: Operation, code: string | undefined): string => {
  switch (code) {
    case "ECONNRESET":
      return operation === "handshake" ? ". If the server speaks TLS on this port, use wss:// for it." : ""
    case "ECONNREFUSED":
      return ". Is the server running, and on this port?"
    case "ENOTFOUND":
      return ". Check the host name."
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      return ". To trust it, give its certificate or its authority's as the option tls.ca."
    case "CERT_HAS_EXPIRED":
      return ". The server needs a new certificate, or this machine's clock is wrong."
    case "CERT_NOT_YET_VALID":
      return ". The certificate's time has not come, or this machine's clock is wrong."
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return ". Use a host name that the certificate has, or expect one of its names with the option tls.servername."
    case "EPROTO":
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
      return ". The server does not speak TLS on this port: use ws:// for it."
    default:
      return ""
  }
}
