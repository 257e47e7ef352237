import { type ConnectionClosed, code } from "../ConnectionClosed.js"

/** The events of the web's `WebSocket` that not every runtime has. */

export class ClosedEvent extends Event implements CloseEvent {
  readonly wasClean: boolean
  readonly code: number
  readonly reason: string

  constructor(how: Pick<CloseEvent, "code" | "reason" | "wasClean">) {
    super("close")
    this.wasClean = how.wasClean
    this.code = how.code
    this.reason = how.reason
  }
}

/** Of a connection that was open, or never was. */
export const closedEvent = (closed: ConnectionClosed | undefined): ClosedEvent =>
  new ClosedEvent({
    code: closed === undefined ? 1006 : code(closed),
    reason: closed?.closure.received?.reason ?? "",
    wasClean: closed !== undefined && !isFailed(closed)
  })

/** Whether a connection has ended otherwise than by a closing handshake. */
export const isFailed = ({ closure: { cause, received, sent } }: ConnectionClosed): boolean =>
  cause !== undefined || received === undefined || sent === undefined

/** Something has failed; `error` says what. */
export class FailedEvent extends Event {
  readonly error: unknown
  readonly message: string

  constructor(error: unknown) {
    super("error")
    this.error = error
    this.message = error instanceof Error ? error.message : String(error)
  }
}
