import type * as Effect from "effect/Effect"
import type { Connection } from "./Connection.js"
import type { Message } from "./inbox.js"

/** How a server knows a handler that is an effect for each message, and needs no fiber between them. */

type Handle = (connection: Connection, message: Message) => Effect.Effect<unknown, unknown, never>

const PerMessage: unique symbol = Symbol.for("effect-websockets/PerMessage")

/** The same handler, of which a server can tell what it does with a message. */
export const perMessage = <H extends object>(handler: H, handle: unknown): H =>
  Object.assign(handler, { [PerMessage]: handle })

/** What a handler does with a message, if that is all that it does. */
export const perMessageOf = (handler: object): Handle | undefined =>
  PerMessage in handler ? (handler[PerMessage] as Handle) : undefined
