/**
 * The part of the WHATWG WebSocket that is used here, so that any
 * implementation of it will do, with the DOM's types or without them.
 *
 * @see https://websockets.spec.whatwg.org/#the-websocket-interface
 */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  readonly protocol: string
  readonly extensions: string
  addEventListener(type: "open" | "error", listener: (event: object) => void): void
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void
  addEventListener(type: "close", listener: (event: CloseEvent) => void): void
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

/** `globalThis.WebSocket`, or what can be used in its place. */
export type WebSocketConstructor = new (url: string, protocols: Array<string>) => WebSocketLike

/** `WebSocket.OPEN`: neither end has begun to close. */
export const OPEN = 1

/** What a socket has received, as it is asked for it. */
export interface MessageEvent {
  readonly data: string | ArrayBuffer
}

/** How a socket ended. */
export interface CloseEvent {
  /** 1005 where the peer's close frame had none, 1006 where there was no close frame. */
  readonly code: number
  readonly reason: string
  /** Whether both close frames were exchanged. */
  readonly wasClean: boolean
}

/** Who hears what a socket tells. */
export interface Listener {
  readonly opened: () => void
  readonly received: (data: string | ArrayBuffer) => void
  /** Why it will end, in the runtime's words where it has any. */
  readonly failed: (said: string | undefined) => void
  readonly closed: (event: CloseEvent) => void
}

/** A socket, and who listens to it: another one takes over in the step in which the first lets go. */
export class Listened {
  readonly socket: WebSocketLike
  private listener: Listener | undefined

  /**
   * The listeners stay on the socket, and hold nothing once nobody wants to
   * hear anything: some implementations throw an error that has no listener.
   */
  constructor(socket: WebSocketLike, listener: Listener) {
    this.socket = socket
    this.listener = listener
    socket.binaryType = "arraybuffer"
    socket.addEventListener("open", () => this.listener?.opened())
    socket.addEventListener("message", ({ data }) => this.listener?.received(data))
    socket.addEventListener("error", (event) => this.listener?.failed(saidBy(event)))
    socket.addEventListener("close", (event) => this.listener?.closed(event))
  }

  handOver(listener: Listener): void {
    this.listener = listener
  }

  /** Nothing is heard of it any more; where it is not closed yet, the runtime is left with it. */
  letGo(): void {
    this.listener = undefined
  }
}

/** A browser's event of an error says nothing; other runtimes give a message, or the error itself. */
const saidBy = (event: object): string | undefined => {
  const message = "message" in event && typeof event.message === "string" ? event.message : ""
  const error = "error" in event && event.error instanceof Error ? event.error.message : ""
  return message || error || undefined
}
