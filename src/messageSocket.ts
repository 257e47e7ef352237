import type { Message } from "./inbox.js"

/**
 * What carries whole messages and does the closing handshake by itself, as a
 * browser's WebSocket: the part of it that a connection needs.
 */
export interface MessageSocket {
  /** Whether neither end has begun to close, as far as it tells. */
  readonly isOpen: boolean
  /** Bytes that were given to it and have not left, as far as it tells. */
  readonly bufferedAmount: number
  /** Takes a copy of a message; what it throws is the end of it. */
  readonly send: (message: Message) => void
  readonly close: (code?: number, reason?: string) => void
  /** Another one hears what it tells from this step on. */
  readonly handOver: (listener: Listener) => void
  /** Nobody wants to hear anything any more; what is left of it is left to it. */
  readonly letGo: () => void
}

/** Who hears what a socket tells. */
export interface Listener {
  readonly opened: () => void
  readonly received: (message: Message) => void
  /** There is room again, where it tells. */
  readonly drained: () => void
  /** Why it will end, where that is known. */
  readonly failed: (why: Error | undefined) => void
  readonly closed: (event: CloseEvent) => void
}

/** How a socket ended. */
export interface CloseEvent {
  /** 1005 where the peer's close frame had none, 1006 where there was no close frame. */
  readonly code: number
  readonly reason: string
  /** Whether both close frames were exchanged. */
  readonly wasClean: boolean
}

/** What the event of an error says: in browsers nothing; other runtimes give a message, or the error itself. */
export const saidBy = (event: object): string | undefined => {
  const message = "message" in event && typeof event.message === "string" ? event.message : ""
  const error = "error" in event && event.error instanceof Error ? event.error.message : ""
  return message || error || undefined
}
