import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Message } from "./inbox.js"

/** Where a message goes. */
export interface Target {
  /** Sends a message if that needs no waiting; says whether it did. */
  readonly sendNow: (message: Message) => boolean
  readonly sendLater: (message: Message) => Effect.Effect<void, ConnectionClosed>
}

/** `connection.send(message)`: an Effect that can be done without a fiber, as long as it has to wait for nothing. */
export class Send extends Effectable.Class<void, ConnectionClosed> {
  private readonly target: Target
  private readonly message: Message

  constructor(target: Target, message: Message) {
    super()
    this.target = target
    this.message = message
  }

  now(): boolean {
    return this.target.sendNow(this.message)
  }

  override commit(): Effect.Effect<void, ConnectionClosed> {
    return this.now() ? Effect.void : this.target.sendLater(this.message)
  }
}
