import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { printable } from "./printable.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Close } from "./protocol/Frame.js"
import type { Cause, Closure } from "./protocol/Protocol.js"
import { isClean as isCleanClosure } from "./protocol/Protocol.js"
import { stackless } from "./stackless.js"

export type { Cause, Closure } from "./protocol/Protocol.js"

/** What there was of a connection until its end was certain. */
export interface Traffic {
  /** Since its opening handshake. */
  readonly duration: Duration.Duration
  /**
   * Frames with their headers, as they went over the wire and behind the opening handshake; in a browser, which shows
   * no frames, the contents of messages alone.
   */
  readonly bytesReceived: number
  readonly bytesSent: number
}

/** Of what never was a connection by itself, as a session between two of them. */
export const noTraffic: Traffic = { duration: Duration.zero, bytesReceived: 0, bytesSent: 0 }

/**
 * The connection is over. `closure` has both close frames, who began, and what
 * was seen to go wrong; `isClean` tells an agreed end from any other.
 */
export class ConnectionClosed extends Data.TaggedError("ConnectionClosed")<{
  readonly closure: Closure
  readonly traffic: Traffic
}> {
  override get message() {
    return describe(this.closure)
  }
}

/** @internal */
export const connectionClosed = (parts: Pick<ConnectionClosed, "closure" | "traffic">): ConnectionClosed =>
  stackless(() => new ConnectionClosed(parts))

/**
 * Whether the connection ended as agreed: both close frames were exchanged,
 * each with code 1000, 1001 or none, and nothing went wrong.
 */
export const isClean = ({ closure }: ConnectionClosed): boolean => isCleanClosure(closure)

/**
 * The code that sums up how a connection ended: the one that the peer sent,
 * else 1006 (`AbnormalClosure`), whose reason `closure.cause` names. RFC 6455 §7.1.5.
 */
export const code = ({ closure }: ConnectionClosed): number => closure.received?.code ?? CloseCode.AbnormalClosure

const frame = (who: string, close: Close | undefined): string => {
  if (close === undefined) return `${who} sent no close frame`
  if (close.code === CloseCode.NoStatusReceived) return `${who} closed without a code`
  return `${who} closed with ${close.code}${close.reason === "" ? "" : ` ${printable(close.reason)}`}`
}

const because = (cause: Cause): string => {
  switch (cause._tag) {
    case "Violation":
      return `the peer broke the protocol: ${cause.violation.reason}`
    case "EndOfStream":
      return "the peer's stream ended without a close frame"
    case "TransportError":
      return cause.error instanceof Error && cause.error.message !== "" ? cause.error.message : "the transport broke"
    case "KeepaliveTimeout":
      return "the peer did not answer a ping in time"
    case "CloseTimeout":
      return "the closing handshake took longer than closeTimeout"
    case "Gap":
      return cause.lost === undefined
        ? "the session could not be resumed, and what was on its way is lost: begin anew"
        : `the session could not be resumed, since ${cause.lost} messages of the peer are lost: begin anew`
  }
}

/** The end of a connection in a sentence: who said what first, and what went wrong. */
export const describe = ({ sent, received, initiator, cause }: Closure): string => {
  const ours = frame("we", sent)
  const theirs = frame("peer", received)
  const said =
    sent === undefined && received === undefined ? [] : initiator === "local" ? [ours, theirs] : [theirs, ours]
  const why = cause === undefined ? [] : [because(cause)]
  return [...said, ...why].join("; ") || `${initiator === "local" ? "we" : "the peer"} ended it without a close frame`
}
