import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as exchange from "../node/exchange.js"
import { type Peers, watched } from "../node/peers.js"
import { rejection } from "../protocol/Handshake.js"
import type { Silences } from "../silence.js"
import type { Application } from "./application.js"

const idle = rejection(503, "Nothing is served here now. Try again later.", ["Retry-After", "5"])

/** Events of node's whose listeners, where there are any, get requests instead of those of "request". */
const otherRequests = ["checkContinue", "checkExpectation", "connect"] as const

const heardEvents = ["connection", "secureConnection", "request", "upgrade", "error", ...otherRequests] as const

/** A server of node's: its peers, and the application that gets what they ask. */
export class Port {
  private readonly silences: Silences
  private peers: Peers | undefined
  /** With their ends, which each come once. */
  private readonly applications = new Map<Application, Effect.Effect<void>>()
  private isOver = false
  /** Takes all listeners off the server again: it may have another one of ours, once it has been closed. */
  leaveServer: () => void = () => {}

  constructor(silences: Silences) {
    this.silences = silences
  }

  /** Hears everything that the server does from now on, before it listens. */
  hear(server: Server): Server {
    const others = new Map(heardEvents.map((event) => [event, new Set(server.rawListeners(event))]))
    this.attach(server)
    const own = heardEvents.map((event) => {
      const before = others.get(event)
      return [event, server.rawListeners(event).filter((listener) => before?.has(listener) !== true)] as const
    })
    this.leaveServer = () => {
      for (const [event, listeners] of own) {
        for (const listener of listeners) server.off(event, listener as () => void)
      }
    }
    return server
  }

  private attach(server: Server): void {
    // Connections that are kept behind an answer are node's to end, and its user's to say when: a proxy may count on that.
    const peers = watched(server, this.silences)
    this.peers = peers
    server.on("connection", (socket: Socket) => {
      if (this.isOver) socket.destroy()
    })
    for (const event of otherRequests) {
      if (server.listenerCount(event) > 0) {
        server.prependListener(event, ({ socket }: IncomingMessage) => peers.heard(socket))
      }
    }
    server.prependListener("request", exchange.track)
    server.on("request", (message, response) => this.request(message, response))
    server.on("upgrade", (message, socket: Socket, head) => this.upgrade(message, socket, head))
    // Of a server that listens an error concerns one connection that could not be accepted; before, who binds it hears it too.
    server.on("error", () => {})
  }

  private get application(): Application | undefined {
    return [...this.applications.keys()].at(-1)
  }

  private request(message: IncomingMessage, response: ServerResponse): void {
    const { application } = this
    if (application === undefined) exchange.plain(message, response).respond(idle)
    else application.request(message, response)
  }

  private upgrade(message: IncomingMessage, socket: Socket, head: Uint8Array): void {
    const { application } = this
    if (application === undefined) exchange.upgrade(message, socket, head).respond(idle)
    else application.upgrade(message, socket, head)
  }

  /** Serves an application; the latest of several gets what is asked. */
  enter(application: Application, stop: Effect.Effect<void>): void {
    this.applications.set(application, stop)
  }

  leave(application: Application): void {
    this.applications.delete(application)
  }

  /** Ends all applications, also those whose own scopes are closed at the same time. */
  get stop(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.all([...this.applications.values()], { concurrency: "unbounded", discard: true })
    )
  }

  /** Cuts whoever is connected, and whoever comes: a server that closes waits for all of them. */
  cut(): void {
    this.isOver = true
    this.peers?.destroy()
  }
}
