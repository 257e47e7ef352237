import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { wholeMessages } from "../capabilities.js"
import type { HandshakeError, Reason } from "../HandshakeError.js"
import type { Handshake } from "../liveConnection.js"
import { noSubprotocol } from "../protocol/Handshake.js"
import { parseExtensions } from "../protocol/headers.js"
import { type Carried, SocketConnection } from "../socketConnection.js"
import { TransportError } from "../TransportError.js"
import { Unsupported } from "../Unsupported.js"
import { Listened, type WebSocketConstructor, type WebSocketLike } from "./whatwg.js"

/** A connection that is being opened. */
export interface Attempt extends Pick<Carried, "limits" | "engine" | "peer"> {
  readonly webSocket: WebSocketConstructor | undefined
  /** What is given to the constructor. */
  readonly url: string
  readonly subprotocols: ReadonlyArray<string>
  /** Path and query of the URI. */
  readonly target: string
  readonly refuse: (reason: Reason) => HandshakeError
}

const noPings = new Unsupported({
  operation: "ping",
  problem: "a browser lets no program send pings or pongs. Send a message of your own, and wait for its answer."
})

type Failure = HandshakeError | TransportError

type Resume = (effect: Effect.Effect<SocketConnection, Failure>) => void

/** The API tells no program what the headers are. */
const handshakeOf = ({ protocol, extensions }: WebSocketLike, target: string): Handshake => ({
  request: { method: "GET", target, version: "1.1", headers: [] },
  response: { status: 101, headers: [] },
  subprotocol: protocol === "" ? Option.none() : Option.some(protocol),
  extensions: parseExtensions([extensions]) ?? []
})

export class Dialling {
  private readonly attempt: Attempt
  private listened: Listened | undefined

  constructor(attempt: Attempt) {
    this.attempt = attempt
  }

  /** Makes the socket, listens to it from that step on, and waits until it is open. */
  get opened(): Effect.Effect<SocketConnection, Failure> {
    return Effect.async<SocketConnection, Failure>((resume) => this.start(resume))
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
        drained: () => {},
        // Each is enough: in Node 20 no close event follows, and what follows elsewhere says no more.
        failed: (why) => refused(why?.message),
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
      resume(Effect.succeed(this.connection(listened)))
      return
    }
    this.letGo()
    // §4.1: browsers refuse that themselves, and other runtimes may not.
    const problem = noSubprotocol(subprotocols)
    const response = { status: 101, headers: [] }
    resume(Effect.fail(refuse({ _tag: "InvalidHeader", header: "Sec-WebSocket-Protocol", problem, response })))
  }

  private connection(listened: Listened): SocketConnection {
    const { engine, limits, peer, target } = this.attempt
    return new SocketConnection({
      socket: listened,
      limits,
      engine,
      peer,
      role: "client",
      capabilities: wholeMessages,
      handshake: () => handshakeOf(listened.socket, target),
      noPings
    })
  }

  /** Nobody wants the connection any more, whether it is open or not. */
  letGo(): void {
    const { listened } = this
    this.listened = undefined
    listened?.letGo()
    listened?.socket.close()
  }
}
