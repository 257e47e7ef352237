import { Effect, Fiber } from "effect"
import { WebSocketClient } from "effect-websockets"
import { BrowserWebSocket } from "effect-websockets/browser"

/** A WHATWG WebSocket whose other end, network and events are the test's. */

type Listener = (event: never) => void

export class FakeWebSocket implements BrowserWebSocket.WebSocketLike {
  binaryType = "blob"
  readyState = 0
  bufferedAmount = 0
  protocol = ""
  extensions = ""
  readonly url: string
  readonly protocols: ReadonlyArray<string>
  readonly sent: Array<string | Uint8Array> = []
  readonly closes: Array<readonly [code: number | undefined, reason: string | undefined]> = []
  private readonly listeners: Array<readonly [type: string, listener: Listener]> = []

  constructor(url: string, protocols: ReadonlyArray<string>) {
    this.url = url
    this.protocols = protocols
  }

  addEventListener(type: string, listener: Listener): void {
    this.listeners.push([type, listener])
  }

  send(data: string | Uint8Array): void {
    this.sent.push(data)
    this.bufferedAmount += data.length
  }

  close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999))
      throw new Error(`${code} cannot be sent`)
    this.closes.push([code, reason])
    this.readyState = 2
  }

  private tell(type: string, event: object): void {
    for (const [wanted, listener] of this.listeners) if (wanted === type) listener(event as never)
  }

  // What the other end and the runtime do

  opens(protocol = "", extensions = ""): void {
    Object.assign(this, { readyState: 1, protocol, extensions })
    this.tell("open", {})
  }

  receives(...messages: ReadonlyArray<string | ReadonlyArray<number>>): void {
    for (const message of messages) {
      this.tell("message", { data: typeof message === "string" ? message : Uint8Array.from(message).buffer })
    }
  }

  /** Both close frames were exchanged; the peer's had this. */
  closed(code: number, reason = ""): void {
    this.readyState = 3
    this.tell("close", { code, reason, wasClean: true })
  }

  /** The runtime has failed the connection, and says why or not. */
  fails(event: object = {}): void {
    this.errs(event)
    this.breaks()
  }

  /** The same in a runtime whose close event never comes. */
  errs(event: object = {}): void {
    this.readyState = 3
    this.tell("error", event)
  }

  /** The stream has ended without a close frame, in the words of the runtime. */
  breaks(code = 1006, wasClean = false): void {
    this.readyState = 3
    this.tell("close", { code, reason: "", wasClean })
  }
}

/** Lets fibers run for as long as they can without time passing. */
export const settle = Effect.repeatN(Effect.yieldNow(), 20)

/** Forks an effect, and lets it run as far as it gets. */
export const begun = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.tap(Effect.fork(effect), settle)

/** A client whose sockets are fakes, the latest last. */
export const makeFakes = (options: Omit<BrowserWebSocket.BrowserWebSocketOptions, "webSocket"> = {}) => {
  const sockets: Array<FakeWebSocket> = []
  const webSocket = class extends FakeWebSocket {
    constructor(url: string, protocols: Array<string>) {
      super(url, protocols)
      sockets.push(this)
    }
  }
  return { sockets, layer: BrowserWebSocket.layer({ ...options, webSocket }) }
}

/** A connection that is open, and its socket. */
export const openFake = (
  options: WebSocketClient.ConnectOptions = {},
  layerOptions: Omit<BrowserWebSocket.BrowserWebSocketOptions, "webSocket"> = {}
) =>
  Effect.gen(function* () {
    const { sockets, layer } = makeFakes(layerOptions)
    const connecting = yield* begun(Effect.provide(WebSocketClient.connect("ws://server/path?q", options), layer))
    const socket = sockets[0]
    if (socket === undefined) return yield* Effect.dieMessage("no socket was made")
    socket.opens()
    const connection = yield* Fiber.join(connecting)
    // The fake answers nobody: what is left when the test is over is ended by it.
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.breaks()))
    return { connection, socket }
  })
