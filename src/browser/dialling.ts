import * as Effect from "effect/Effect"
import type { HandshakeError, Reason } from "../HandshakeError.js"
import { noSubprotocol } from "../protocol/Handshake.js"
import { TransportError } from "../TransportError.js"
import { BrowserConnection } from "./browserConnection.js"
import type { Parts } from "./socketLifecycle.js"
import { Listened, type WebSocketConstructor } from "./whatwg.js"

/** A connection that is being opened. */
export interface Attempt extends Omit<Parts, "listened"> {
  readonly webSocket: WebSocketConstructor | undefined
  /** What is given to the constructor. */
  readonly url: string
  readonly subprotocols: ReadonlyArray<string>
  readonly refuse: (reason: Reason) => HandshakeError
}

type Failure = HandshakeError | TransportError

type Resume = (effect: Effect.Effect<BrowserConnection, Failure>) => void

export class Dialling {
  private readonly attempt: Attempt
  private listened: Listened | undefined

  constructor(attempt: Attempt) {
    this.attempt = attempt
  }

  /** Makes the socket, listens to it from that step on, and waits until it is open. */
  get opened(): Effect.Effect<BrowserConnection, Failure> {
    return Effect.async<BrowserConnection, Failure>((resume) => this.start(resume))
  }

  private start(resume: Resume): void {
    const { webSocket, url, subprotocols, peer, refuse } = this.attempt
    const fail = (code: string, cause: unknown) =>
      resume(Effect.fail(new TransportError({ operation: "connect", peer, code, cause })))
    if (webSocket === undefined) {
      fail("ERR_CONNECTOR_OPTION", new Error("this runtime has no WebSocket. Give one as the layer's option webSocket"))
      return
    }
    const refused = (said: string | undefined) => resume(Effect.fail(refuse({ _tag: "Unexplained", said })))
    try {
      const socket = new webSocket(url, [...subprotocols])
      this.listened = new Listened(socket, {
        opened: () => this.opens(resume),
        received: () => {},
        // Each is enough: in Node 20 no close event follows, and what follows elsewhere says no more.
        failed: refused,
        closed: ({ reason }) => refused(reason === "" ? undefined : reason)
      })
    } catch (cause) {
      // What the page's policy forbids throws, and the error's name is the word for it.
      fail(cause instanceof Error ? cause.name : "Error", cause)
    }
  }

  /** In the step of the event, so that no message comes before its connection. */
  private opens(resume: Resume): void {
    const { attempt, listened } = this
    if (listened === undefined) return
    const { subprotocols, refuse } = attempt
    if (subprotocols.length === 0 || listened.socket.protocol !== "") {
      resume(Effect.succeed(new BrowserConnection({ ...attempt, listened })))
      return
    }
    this.letGo()
    // §4.1: browsers refuse that themselves, and other runtimes may not.
    const problem = noSubprotocol(subprotocols)
    const response = { status: 101, headers: [] }
    resume(Effect.fail(refuse({ _tag: "InvalidHeader", header: "Sec-WebSocket-Protocol", problem, response })))
  }

  /** Nobody wants the connection any more, whether it is open or not. */
  letGo(): void {
    const { listened } = this
    this.listened = undefined
    listened?.letGo()
    listened?.socket.close()
  }
}
