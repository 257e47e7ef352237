import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import { wholeMessages } from "../capabilities.js"
import { makeEngine } from "../deadlines.js"
import { observed, spanOf } from "../dialled.js"
import { HandshakeError } from "../HandshakeError.js"
import { InvalidUri } from "../InvalidUri.js"
import { givenUpAfter } from "../openTimeout.js"
import * as uri from "../protocol/uri.js"
import { milliseconds, positive, resolve } from "../settings.js"
import { defaultMaxUnread } from "../socketLifecycle.js"
import { type ConnectError, type ConnectOptions, defaultOpenTimeout, WebSocketClient } from "../WebSocketClient.js"
import { type Attempt, Dialling } from "./dialling.js"
import { refusedOption } from "./refusedOptions.js"
import type { WebSocketConstructor } from "./whatwg.js"

export { defaultMaxUnread } from "../socketLifecycle.js"
export type { WebSocketConstructor, WebSocketLike } from "./whatwg.js"

/** How a browser's client works. */
export interface BrowserWebSocketOptions {
  /** What makes sockets: the runtime's own `WebSocket` unless told otherwise. */
  readonly webSocket?: WebSocketConstructor | undefined
  /**
   * Bytes of messages that may wait to be taken, 64 charged for each beside its content: 67,108,864. Nothing stops a
   * browser reading, so with more the connection ends: it closes with 4008, and a `Violation` is the cause.
   */
  readonly maxUnread?: number | undefined
}

/**
 * A client over the WebSocket API that browsers have, and Node (from 22 on),
 * Deno and Bun too: programs that ask for `WebSocketClient` run as they are.
 *
 * What the API lets no program do, the client's and the connections'
 * `capabilities` name. An option that asks for such a thing is a
 * `HandshakeError` (`InvalidOption`) before anything is sent, user information
 * in the URI is `InvalidUri`, and `ping` and `pong` fail with `Unsupported`.
 * Why opening failed is not known (`Unexplained`), except for `openTimeout`.
 *
 * Text and bytes are received whole and checked against `maxMessageSize` then.
 * `send` waits while `bufferedAmount` is at `sendHighWaterMark` or above.
 * Closing says 1000 or 3000 to 4999; other codes have 3000 added to them, so
 * that 1011 is 4011. A peer that does not answer within `closeTimeout` is left
 * to the runtime.
 *
 * @see https://websockets.spec.whatwg.org
 */
export const layer = (options: BrowserWebSocketOptions = {}): Layer.Layer<WebSocketClient> =>
  Layer.sync(WebSocketClient, () => {
    const maxUnread = positive("maxUnread", options.maxUnread ?? defaultMaxUnread)
    return {
      capabilities: wholeMessages,
      connect: Effect.fn("WebSocketClient.connect", { kind: "client" })(
        (input: string | URL, connecting: ConnectOptions = {}) => open({ ...options, maxUnread }, input, connecting)
      )
    }
  })

/** Looked up for each connection: what a test or a polyfill puts there counts. */
const ofRuntime = (): WebSocketConstructor | undefined =>
  (globalThis as { readonly WebSocket?: WebSocketConstructor }).WebSocket

const invalid = (input: string | URL, problem: string): InvalidUri =>
  new InvalidUri({ uri: uri.withoutSecrets(String(input)), problem })

const open = (
  { webSocket, maxUnread }: BrowserWebSocketOptions & { readonly maxUnread: number },
  input: string | URL,
  options: ConnectOptions
): Effect.Effect<Connection, ConnectError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const target = uri.parse(input)
      if (typeof target === "string") return yield* invalid(input, target)
      if (target.credentials !== undefined) return yield* invalid(input, noCredentials)
      const settings = resolve(options)
      const timeout = milliseconds("openTimeout", options.openTimeout ?? defaultOpenTimeout)
      const refuse: Attempt["refuse"] = (reason) => new HandshakeError({ uri: uri.show(target), reason })
      const refused = refusedOption(options, settings)
      if (refused !== undefined) return yield* refuse(refused)

      const scope = yield* Effect.scope
      const engine = yield* makeEngine
      const dialling = new Dialling({
        webSocket: webSocket ?? ofRuntime(),
        url: String(input),
        subprotocols: options.subprotocols ?? [],
        target: target.target,
        peer: uri.authority(target),
        limits: { ...settings, maxUnread },
        engine,
        refuse
      })
      const opening = restore(givenUpAfter(timeout, dialling.opened, refuse))
      const connection = yield* Effect.onError(observed(engine, target, opening), () =>
        Effect.sync(() => dialling.letGo())
      )
      connection.observe(engine, spanOf(engine))
      yield* Scope.addFinalizer(scope, connection.close())
      return connection
    })
  )

const noCredentials =
  "its user information cannot be sent, as a browser lets programs add nothing to its request: leave it out"
