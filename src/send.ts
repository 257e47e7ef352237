import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Message } from "./inbox.js"

/** Where a message goes. */
export interface Target {
  /** Sends a message: undefined when that is done, or else what is left to be done. */
  readonly startSend: (
    message: Message,
    compress?: boolean | undefined
  ) => Effect.Effect<void, ConnectionClosed> | undefined
}

/** An Effect that can be done without a fiber, as long as it has to wait for nothing. */
export abstract class Startable<E, R = never> extends Effectable.Class<void, E, R> {
  /** Does it: undefined when that is done, or else what is left to be done. */
  abstract start(): Effect.Effect<void, E, R> | undefined

  override commit(): Effect.Effect<void, E, R> {
    return this.start() ?? Effect.void
  }
}

/** `connection.send(message)`. */
export class Send extends Startable<ConnectionClosed> {
  private readonly target: Target
  private readonly message: Message
  private readonly compress: boolean | undefined

  constructor(target: Target, message: Message, compress?: boolean | undefined) {
    super()
    this.target = target
    this.message = message
    this.compress = compress
  }

  override start(): Effect.Effect<void, ConnectionClosed> | undefined {
    return this.target.startSend(this.message, this.compress)
  }
}
