import * as CloseCode from "./CloseCode.js"
import type { Close, Role, Violation } from "./Frame.js"

/**
 * How a connection ends: the closing handshake and every shorter way, as a
 * state machine without I/O or time. Data frames do not come through here.
 *
 * @see RFC 6455 §7
 */

/** What went wrong, where a connection does not end by the closing handshake alone. */
export type Cause =
  /** The peer broke the protocol or a limit. */
  | { readonly _tag: "Violation"; readonly violation: Violation }
  /** The peer's stream ended without a close frame. */
  | { readonly _tag: "EndOfStream" }
  /** The transport broke. */
  | { readonly _tag: "TransportError"; readonly error: unknown }
  /** The peer answered neither a ping nor otherwise for `pingTimeout`. */
  | { readonly _tag: "KeepaliveTimeout" }
  /** The closing handshake was not over within `closeTimeout`. */
  | { readonly _tag: "CloseTimeout" }
  /** Messages were lost between two connections of one session: so many, or it is not known how many. */
  | { readonly _tag: "Gap"; readonly lost: number | undefined }

/** Who sent the first close frame, or ended the connection without one. */
export type Initiator = "local" | "remote"

/** How a connection ended: both close frames, who began, and what was seen to go wrong. */
export interface Closure {
  readonly sent: Close | undefined
  readonly received: Close | undefined
  readonly initiator: Initiator
  readonly cause: Cause | undefined
}

/** Named after what the connection is waiting for. */
export type State =
  | { readonly _tag: "Open" } //                               frames
  | { readonly _tag: "Closing"; readonly closure: Closure } //  the peer's close frame: ours is out
  | { readonly _tag: "Draining"; readonly closure: Closure } // the end of the peer's stream: nothing more is said
  | { readonly _tag: "Closed"; readonly closure: Closure } //   nothing

/** What is to be done to the peer's side, in order. */
export type Output =
  | { readonly _tag: "Close"; readonly close: Close }
  /** End our side of the stream once all before it is written. */
  | { readonly _tag: "EndOfStream" }
  /** Cut the transport, now. */
  | { readonly _tag: "Destroy" }

/** How a connection ended, or as much of it as is known. */
export const closureOf = (state: State): Closure =>
  state._tag === "Open" ? { sent: undefined, received: undefined, initiator: "local", cause: undefined } : state.closure

export interface Step {
  readonly state: State
  readonly output: ReadonlyArray<Output>
}

/** What is to become of a state, when its time has come. */
export type Change = (state: State) => Step

export const open: State = { _tag: "Open" }

const endOfStream: Output = { _tag: "EndOfStream" }
const destroy: Output = { _tag: "Destroy" }
const close = (content: Close): Output => ({ _tag: "Close", close: content })

const closing = (closure: Closure): State => ({ _tag: "Closing", closure })
const draining = (closure: Closure): State => ({ _tag: "Draining", closure })
const closed = (closure: Closure): State => ({ _tag: "Closed", closure })

const step = (state: State, ...output: ReadonlyArray<Output>): Step => ({ state, output })

/** §7.1.1: the server ends TCP first, so that the client is not left in TIME_WAIT. */
const afterBoth = (role: Role): ReadonlyArray<Output> => (role === "server" ? [endOfStream] : [])

/** We start the closing handshake. §7.1.2. */
export const startClose = (state: State, sent: Close): Step => {
  switch (state._tag) {
    case "Open":
      return step(closing({ sent, received: undefined, initiator: "local", cause: undefined }), close(sent))
    case "Closing":
    case "Draining":
    case "Closed":
      return step(state)
  }
}

/** What answers a close frame: the same code, and the same lack of one. */
const reply = (received: Close): Close => ({ code: received.code, reason: "" })

/** The peer's close frame arrives. */
export const receiveClose = (role: Role, state: State, received: Close): Step => {
  switch (state._tag) {
    case "Open": {
      // §5.5.1: answer a close frame with a close frame, typically of the same code.
      const sent = reply(received)
      const closure: Closure = { sent, received, initiator: "remote", cause: undefined }
      return step(draining(closure), close(sent), ...afterBoth(role))
    }
    case "Closing":
      return step(draining({ ...state.closure, received }), ...afterBoth(role))
    case "Draining":
    case "Closed":
      // §1.4: what follows a close frame is discarded.
      return step(state)
  }
}

/** The peer breaks the protocol or a limit: the connection is failed. §7.1.7. */
export const fail = (state: State, violation: Violation): Step => {
  const cause: Cause = { _tag: "Violation", violation }
  switch (state._tag) {
    case "Open": {
      const sent: Close = { code: violation.code, reason: violation.reason }
      const closure: Closure = { sent, received: undefined, initiator: "local", cause }
      return step(draining(closure), close(sent), endOfStream)
    }
    case "Closing":
      return step(draining({ ...state.closure, cause }), endOfStream)
    case "Draining":
    case "Closed":
      return step(state)
  }
}

/** The peer's stream ends: it will send nothing more. */
export const receiveEnd = (state: State): Step => {
  switch (state._tag) {
    case "Open":
      return step(
        closed({ sent: undefined, received: undefined, initiator: "remote", cause: { _tag: "EndOfStream" } }),
        destroy
      )
    case "Closing":
      return step(closed({ ...state.closure, cause: { _tag: "EndOfStream" } }), destroy)
    case "Draining":
      return step(closed(state.closure), endOfStream, destroy)
    case "Closed":
      return step(state)
  }
}

/** The transport is gone, with an error or without one. */
export const lose = (state: State, error: unknown): Step => {
  const cause: Cause = error === undefined ? { _tag: "EndOfStream" } : { _tag: "TransportError", error }
  switch (state._tag) {
    case "Open":
      return step(closed({ sent: undefined, received: undefined, initiator: "remote", cause }), destroy)
    case "Closing":
      return step(closed({ ...state.closure, cause }), destroy)
    case "Draining":
      // All was said: how TCP then ends does not change how the connection did.
      return step(closed(state.closure), destroy)
    case "Closed":
      return step(state)
  }
}

/** The closing handshake has taken longer than `closeTimeout`. */
export const expire = (state: State): Step => {
  switch (state._tag) {
    case "Closing":
      return step(closed({ ...state.closure, cause: { _tag: "CloseTimeout" } }), destroy)
    case "Draining":
      return step(closed(state.closure), destroy)
    case "Open":
    case "Closed":
      return step(state)
  }
}

/** The peer is gone without a sign: the close frame is for the case that it still listens, but nobody waits for an answer. */
export const abandon = (state: State, sent: Close): Step => {
  switch (state._tag) {
    case "Open":
      return step(
        closed({ sent, received: undefined, initiator: "local", cause: { _tag: "KeepaliveTimeout" } }),
        close(sent),
        destroy
      )
    case "Closing":
    case "Draining":
    case "Closed":
      return step(state)
  }
}

/** Codes that tell of no fault; RFC 6455 §7.1.4 calls every end clean that has both close frames. */
const isAgreedCode = (code: number): boolean =>
  code === CloseCode.NormalClosure || code === CloseCode.GoingAway || code === CloseCode.NoStatusReceived

/** Whether both close frames were exchanged and neither tells of a fault: codes 1000, 1001 or none. */
export const isClean = ({ sent, received, cause }: Closure): boolean =>
  cause === undefined &&
  sent !== undefined &&
  received !== undefined &&
  isAgreedCode(sent.code) &&
  isAgreedCode(received.code)
