import { Effect, type Scope } from "effect"
import type WebSocket from "ws"
import { eventually } from "../node/support.js"

type Content = string | Uint8Array

/** A `WebSocket` of `ws`, as effects. */
export class WsPeer {
  private readonly socket: WebSocket
  private readonly received: Array<Content> = []
  private readonly ponged: Array<string> = []
  private end: { readonly code: number; readonly reason: string } | undefined

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on("message", (data, isBinary) => {
      const bytes = data as Buffer
      this.received.push(isBinary ? Uint8Array.from(bytes) : bytes.toString())
    })
    socket.on("pong", (payload) => this.ponged.push(payload.toString()))
    socket.on("close", (code, reason) => {
      this.end = { code, reason: reason.toString() }
    })
    // What goes wrong is in the code that follows.
    socket.on("error", () => {})
  }

  static scoped(socket: WebSocket): Effect.Effect<WsPeer, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new WsPeer(socket)),
      () => Effect.sync(() => socket.terminate())
    )
  }

  get opened(): Effect.Effect<void> {
    return eventually(() => this.socket.readyState === this.socket.OPEN)
  }

  get subprotocol(): string {
    return this.socket.protocol
  }

  send(
    content: Content,
    { fin = true, compress = true }: { readonly fin?: boolean; readonly compress?: boolean } = {}
  ): Effect.Effect<void> {
    return Effect.sync(() => this.socket.send(content, { fin, compress, binary: typeof content !== "string" }))
  }

  get receive(): Effect.Effect<Content> {
    return Effect.map(
      eventually(() => this.received.length > 0),
      () => this.received.shift()!
    )
  }

  ping(payload: string): Effect.Effect<void> {
    return Effect.sync(() => this.socket.ping(payload))
  }

  /** Waits for these pongs, in this order. */
  pongs(payloads: ReadonlyArray<string>): Effect.Effect<void> {
    return eventually(() => this.ponged.join() === payloads.join())
  }

  close(code?: number, reason?: string): Effect.Effect<void> {
    return Effect.sync(() => this.socket.close(code, reason))
  }

  get closed(): Effect.Effect<{ readonly code: number; readonly reason: string }> {
    return Effect.map(
      eventually(() => this.end !== undefined),
      () => this.end!
    )
  }

  get terminate(): Effect.Effect<void> {
    return Effect.sync(() => this.socket.terminate())
  }
}
