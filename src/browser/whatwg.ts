import type { Message } from "../inbox.js"
import { type CloseEvent, type Listener, type MessageSocket, saidBy } from "../messageSocket.js"
import { ownMemory } from "../wholeMessages.js"

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
const OPEN = 1

/** What a socket has received, as it is asked for it. */
export interface MessageEvent {
  readonly data: string | ArrayBuffer
}

/** A socket, and who listens to it: another one takes over in the step in which the first lets go. */
export class Listened implements MessageSocket {
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
    socket.addEventListener("message", ({ data }) =>
      this.listener?.received(typeof data === "string" ? data : new Uint8Array(data))
    )
    socket.addEventListener("error", (event) => {
      const said = saidBy(event)
      this.listener?.failed(said === undefined ? undefined : new Error(said))
    })
    socket.addEventListener("close", (event) => this.listener?.closed(event))
  }

  /** That the peer has begun to close has no event. */
  get isOpen(): boolean {
    return this.socket.readyState === OPEN
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount
  }

  send(message: Message): void {
    this.socket.send(typeof message === "string" ? message : ownMemory(message))
  }

  close(code?: number, reason?: string): void {
    this.socket.close(code, reason)
  }

  handOver(listener: Listener): void {
    this.listener = listener
  }

  letGo(): void {
    this.listener = undefined
  }
}
