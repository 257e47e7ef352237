import * as Socket from "@effect/platform/Socket"
import { type ConnectionClosed, code } from "../ConnectionClosed.js"
import { HandshakeError } from "../HandshakeError.js"
import * as CloseCode from "../protocol/CloseCode.js"

/** What we know of a connection's beginning and end, in the words of the platform's `Socket`. */

/** A connection that could not be opened. */
export const openError = (cause: unknown): Socket.SocketError => {
  if (Socket.isSocketError(cause)) return cause
  const isLate = cause instanceof HandshakeError && cause.reason._tag === "Timeout"
  return new Socket.SocketGenericError({ reason: isLate ? "OpenTimeout" : "Open", cause })
}

/** A message that could not be sent. */
export const writeError = (cause: unknown): Socket.SocketError =>
  new Socket.SocketGenericError({ reason: "Write", cause })

/**
 * How a connection ended: with the code that the peer sent; with ours where
 * the peer broke the protocol, whatever it answers; else with 1006, and then
 * the reason is the sentence that says what happened.
 */
export const closeError = (closed: ConnectionClosed): Socket.SocketCloseError => {
  const { cause, received, sent } = closed.closure
  if (cause?._tag === "Violation") {
    const { violation } = cause
    return closeErrorOf(sent?.code ?? violation.code, closed.message)
  }
  if (received === undefined) return closeErrorOf(CloseCode.AbnormalClosure, closed.message)
  return closeErrorOf(code(closed), received.reason)
}

const closeErrorOf = (code: number, reason: string): Socket.SocketCloseError =>
  new Socket.SocketCloseError({ reason: "Close", code, closeReason: reason === "" ? undefined : reason })
