import type { CloseEvent } from "./messageSocket.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Close } from "./protocol/Frame.js"
import type { Cause, Closure, State } from "./protocol/Protocol.js"

/**
 * How a connection ends over a socket that answers close frames itself: as
 * `protocol/Protocol.ts`, but what the peer does is known from events alone.
 */

/** What is added to a code that a browser lets nobody send. */
const PRIVATE = 3_000

/**
 * A close frame as a browser sends it, which lets programs say 1000 and 3000 to
 * 4999: other codes go as those of private use, 1001 as 4001, 1011 as 4011.
 */
export const sendable = ({ code, reason }: Close): Close => ({
  code: code === CloseCode.NormalClosure || code >= PRIVATE ? code : code + PRIVATE,
  reason
})

const unknown: Closure = { sent: undefined, received: undefined, initiator: "remote", cause: undefined }

/** The peer has begun to close, and the runtime answers; what the peer said comes with the end. */
export const closingByPeer: State = { _tag: "Draining", closure: unknown }

/** The peer's close frame, if there was one: without, browsers say 1006, and others may say 0 or 1005. */
const closeOf = ({ code, reason, wasClean }: CloseEvent): Close | undefined =>
  CloseCode.isValid(code) || (wasClean && code === CloseCode.NoStatusReceived) ? { code, reason } : undefined

/** The socket is closed; where that was not clean, `cause` is the reason. */
export const ended = (state: State, event: CloseEvent, cause: Cause): State => {
  const received = closeOf(event)
  const problem = event.wasClean && received !== undefined ? undefined : cause
  switch (state._tag) {
    case "Open":
      return closed(closedByPeer(unknown, received, problem))
    case "Closing":
      return closed({ ...state.closure, received, cause: problem })
    case "Draining": {
      const { closure } = state
      // Where we have failed the connection, that is how it ended, and whoever waited has been told.
      return closed(closure.initiator === "remote" ? closedByPeer(closure, received, problem) : closure)
    }
    case "Closed":
      return state
  }
}

/** `closeTimeout` is up, which is the cause unless there is another. */
export const expired = (state: State, cause: Cause): State => {
  switch (state._tag) {
    case "Closing":
    case "Draining":
      return closed({ ...state.closure, cause: state.closure.cause ?? cause })
    case "Open":
    case "Closed":
      return state
  }
}

/** Whether it is known how a connection in this state ends, as it is from a violation on. */
export const isCertain = (state: State): boolean =>
  state._tag === "Closed" || (state._tag === "Draining" && state.closure.initiator === "local")

const closed = (closure: Closure): State => ({ _tag: "Closed", closure })

const closedByPeer = (closure: Closure, received: Close | undefined, cause: Cause | undefined): Closure => ({
  ...closure,
  // RFC 6455 §5.5.1: a clean end says that the runtime has answered, and the answer has the same code.
  sent: received !== undefined && cause === undefined ? { code: received.code, reason: "" } : undefined,
  received,
  cause
})
