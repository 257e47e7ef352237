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

/** `connection.send(message)`: an Effect that can be done without a fiber, as long as it has to wait for nothing. */
export class Send extends Effectable.Class<void, ConnectionClosed> {
  private readonly target: Target
  private readonly message: Message
  private readonly compress: boolean | undefined

  constructor(target: Target, message: Message, compress?: boolean | undefined) {
    super()
    this.target = target
    this.message = message
    this.compress = compress
  }

  start(): Effect.Effect<void, ConnectionClosed> | undefined {
    return this.target.startSend(this.message, this.compress)
  }

  override commit(): Effect.Effect<void, ConnectionClosed> {
    return this.start() ?? Effect.void
  }
}
