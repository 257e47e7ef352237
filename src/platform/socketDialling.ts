import type { Socket } from "@effect/platform/Socket"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Connection, Role } from "../Connection.js"
import { wholeMessages } from "../capabilities.js"
import { type Engine, makeEngine } from "../deadlines.js"
import { unknownHandshake } from "../liveConnection.js"
import * as CloseCode from "../protocol/CloseCode.js"
import { type ConnectionOptions, positive, resolve } from "../settings.js"
import { SocketConnection } from "../socketConnection.js"
import { defaultMaxUnread, type Limits } from "../socketLifecycle.js"
import { codeOf, TransportError } from "../TransportError.js"
import { Unsupported } from "../Unsupported.js"
import { SocketCarrier } from "./socketCarrier.js"

/** What a connection over a platform's socket is told. */
export interface CarriedOptions
  extends Pick<ConnectionOptions, "closeTimeout" | "maxMessageSize" | "sendHighWaterMark"> {
  /** Which end it is: the client unless told otherwise. */
  readonly role?: Role | undefined
  /**
   * Bytes of messages that may wait to be taken, 64 charged for each beside its content: 67,108,864. Nothing stops a
   * platform's socket reading, so with more the connection ends: it closes with 4008, and a `Violation` is the cause.
   */
  readonly maxUnread?: number | undefined
  /**
   * Whether the socket sends every close code of RFC 6455 §7.4, as those of `PlatformSocket` and of the package `ws`
   * do. Unless told so only 1000 and 3000 to 4999, as `WebSocket`s of runtimes, with 3000 added to the others: false.
   */
  readonly closeCodes?: boolean | undefined
  /**
   * The code of an end that is no error to the socket, and then it does not say which: 1006 unless told otherwise, as
   * it may well be, since platform's own sockets count it among these. 1000 is right for a socket whose
   * `closeCodeIsError` is true for all others, as that of `PlatformSocket` is unless told otherwise.
   */
  readonly successCode?: number | undefined
}

export const defaultSuccessCode = CloseCode.AbnormalClosure

const peer = "the socket's peer"

const noPings = new Unsupported({
  operation: "ping",
  problem: "a Socket of the platform's has no pings or pongs. Send a message of your own, and wait for its answer."
})

interface Settings {
  readonly limits: Limits
  readonly role: Role
  readonly closeCodes: boolean
}

/** Runs a socket, and waits until it is open; the connection is there in the step in which it says so. */
const opened = (carrier: SocketCarrier, { limits, role, closeCodes }: Settings, engine: Engine) =>
  Effect.async<SocketConnection, TransportError>((resume) => {
    let why: Error | undefined
    carrier.start({
      opened: () => {
        const connection = new SocketConnection({
          socket: carrier,
          limits,
          engine,
          peer,
          role,
          capabilities: { ...wholeMessages, closeCodes },
          handshake: unknownHandshake,
          noPings
        })
        resume(Effect.succeed(connection))
      },
      received: () => {},
      drained: () => {},
      failed: (error) => {
        why = error
      },
      closed: ({ code, reason }) => {
        const cause = why ?? new Error(`it closed with ${code} before it was open${reason === "" ? "" : `: ${reason}`}`)
        resume(Effect.fail(new TransportError({ operation: "connect", peer, code: codeOf(cause), cause })))
      }
    })
  })

/**
 * A `Socket` of the platform's as a connection, for what is written for
 * connections. It runs the socket once: completes when that is open, and fails
 * with `TransportError` where it ends before. Leaving the scope runs the
 * closing handshake with 1000 and waits for its end.
 *
 * What such a socket has no way for, `capabilities` name, as a browser's
 * connection does: `ping` and `pong` fail with `Unsupported`, messages are
 * whole, addresses and headers are not known. It cannot be stopped reading: see
 * `maxUnread`. A peer that does not answer within `closeTimeout` is left to
 * the socket, whose run is interrupted.
 *
 * Messages keep their order, and `send` waits while as many bytes as
 * `sendHighWaterMark` are not written; platform's own WebSockets take whatever
 * they get, and so nobody waits there. How it ended is what the socket tells:
 * see `successCode`. One over a stream of bytes gives them as they come, text
 * as bytes, and calls the stream's end 1000 or nothing. Where a runtime's
 * `WebSocket` gives blobs, as that of `NodeSocket.layerWebSocketConstructor`,
 * platform itself lets messages overtake binary ones: give it
 * `PlatformWebSocket.layerConstructor`, or set `binaryType`.
 */
export const toConnection = (
  socket: Socket,
  options: CarriedOptions = {}
): Effect.Effect<Connection, TransportError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { successCode = defaultSuccessCode, role = "client", closeCodes = false } = options
      const limits = { ...resolve(options), maxUnread: positive("maxUnread", options.maxUnread ?? defaultMaxUnread) }
      const scope = yield* Effect.scope
      const engine = yield* makeEngine
      const carrier = new SocketCarrier(socket, engine.runtime, successCode)
      const gone = Effect.zipRight(
        Effect.sync(() => carrier.letGo()),
        carrier.gone
      )
      const connection = yield* Effect.onError(
        restore(opened(carrier, { limits, role, closeCodes }, engine)),
        () => gone
      )
      yield* Scope.addFinalizer(scope, Effect.zipRight(connection.close(), gone))
      return connection
    })
  )
