import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type { Connection } from "../Connection.js"
import { ConnectionRegistry, type Registry } from "../ConnectionRegistry.js"
import * as Deflate from "../Deflate.js"
import type { Engine } from "../deadlines.js"
import type * as Framing from "../Framing.js"
import type * as Handshake from "../Handshake.js"
import * as exchange from "../node/exchange.js"
import type { Extension } from "../protocol/Extension.js"
import { type DrainOptions, Running } from "../running.js"
import { Serving, unavailable } from "../serving.js"
import { resolved, type ServerSettings, Stopping } from "../WebSocketServer.js"
import { Asked, Chosen, remember } from "./asked.js"
import type { UpgradeOptions } from "./PlatformHttpServer.js"

/** What an HTTP server has for the connections on its port. */
export interface Host {
  readonly engine: Engine
  readonly framing: Framing.Service
  readonly deflate: Deflate.Service
  readonly handshake: Handshake.Service
  readonly registry: Registry
  readonly drain: DrainOptions | undefined
  /** Milliseconds. */
  readonly answerTimeout: number
  /** What every upgrade has unless it says otherwise. */
  readonly upgrades: UpgradeOptions | undefined
}

/** What the options of an upgrade come to; those that cannot be are the programmer's fault and throw. */
export const partsOf = (
  options: UpgradeOptions & Pick<ServerSettings, "drain" | "maxHandshakes" | "openTimeout">,
  deflate: Deflate.Service,
  extensions: ReadonlyArray<Extension> = []
) => resolved(options, [...extensions, ...Deflate.extensions(deflate, options.compression)])

interface Place {
  readonly serving: Serving
  /** Requests and connections that are there. */
  count: number
}

const handler = (connection: Connection) => Effect.flatMap(Chosen, (run) => run(connection))

/** An HttpApp that is served: the requests that it is asked, and the connections that come of them. */
export class Application {
  readonly host: Host
  readonly answers = new Running()
  isStopping = false
  private readonly listener: (message: IncomingMessage, response: ServerResponse) => void
  private readonly places = new Map<UpgradeOptions | undefined, Place>()
  private readonly stopping = Deferred.unsafeMake<void>(FiberId.none)

  constructor(host: Host, listener: (message: IncomingMessage, response: ServerResponse) => void) {
    this.host = host
    this.listener = listener
  }

  request(message: IncomingMessage, response: ServerResponse): void {
    if (this.isStopping) exchange.plain(message, response).respond(unavailable)
    else this.ask(Asked.plain(this, message, response), message)
  }

  upgrade(message: IncomingMessage, socket: Socket, head: Uint8Array): void {
    const asked = exchange.upgrade(message, socket, head)
    // Pipelined behind a request whose answer is not over: that would be written into ours, or into frames.
    if (exchange.isAnswering(socket)) asked.abort()
    else if (this.isStopping) asked.respond(unavailable)
    else this.ask(Asked.upgrade(this, asked, message, socket), message).watch()
  }

  private ask(asked: Asked, message: IncomingMessage): Asked {
    remember(message, asked)
    this.listener(message, asked.response)
    return asked
  }

  /** Where connections with these options are counted and run; there for as long as there are any. */
  place(options: UpgradeOptions | undefined): { readonly serving: Serving; readonly leave: () => void } {
    const place = this.places.get(options) ?? { serving: this.make({ ...this.host.upgrades, ...options }), count: 0 }
    this.places.set(options, place)
    place.count++
    return {
      serving: place.serving,
      leave: () => {
        if (--place.count === 0) this.places.delete(options)
      }
    }
  }

  private make(options: UpgradeOptions): Serving {
    const { deflate, drain, engine, framing, handshake, registry } = this.host
    return new Serving({
      engine,
      framing,
      handshake,
      ...partsOf({ ...options, drain }, deflate, framing.extensions),
      registry,
      context: Context.add(engine.runtime.context, ConnectionRegistry, registry.service).pipe(
        Context.add(Stopping, Deferred.await(this.stopping))
      ),
      onStopping: () => {},
      // What it needs is among the services of the route, as the type of `upgrade` says.
      handler: handler as (connection: Connection) => Effect.Effect<unknown, unknown>,
      hooks: { onRequest: undefined, onUpgrade: undefined, connectionKey: undefined }
    })
  }

  /**
   * Refuses whatever is asked from now on, closes all connections with 1001
   * and lets answers leave. Completes when nothing runs any more.
   */
  get stop(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isStopping = true
      Deferred.unsafeDone(this.stopping, Effect.void)
      const servings = [...this.places.values()].map(({ serving }) => serving.stop)
      return Effect.all([...servings, this.answers.stop], { concurrency: "unbounded", discard: true })
    })
  }
}
