import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import { type Coding, isNow } from "./coding.js"
import type { EncodeError } from "./EncodeError.js"
import type { Sender, Underlying } from "./SchemaConnection.js"
import { Startable } from "./send.js"

type Raw = Pick<Underlying, "send" | "sendAll">
type Encoding<Out, R> = Pick<Coding<Out, R>, "encode">

/** `connection.send(value)`: encoded when it is run, and without a fiber where the schema needs none. */
class TypedSend<Out, R> extends Startable<EncodeError | ConnectionClosed, R> {
  private readonly raw: Raw
  private readonly coding: Encoding<Out, R>
  private readonly value: Out

  constructor(raw: Raw, coding: Encoding<Out, R>, value: Out) {
    super()
    this.raw = raw
    this.coding = coding
    this.value = value
  }

  override start(): Effect.Effect<void, EncodeError | ConnectionClosed, R> | undefined {
    const encoded = this.coding.encode(this.value)
    if (!isNow(encoded)) return Effect.flatMap(encoded, (message) => this.raw.send(message))
    if (Either.isLeft(encoded)) return Effect.fail(encoded.left)
    const sending = this.raw.send(encoded.right)
    return sending instanceof Startable ? sending.start() : sending
  }
}

export const makeSender = <Out, R>(raw: Raw, coding: Encoding<Out, R>): Sender<Out, R> => ({
  send: (value) => new TypedSend(raw, coding, value),
  sendAll: (values) =>
    Effect.flatMap(
      Effect.suspend(() => Effect.forEach(values, (value) => coding.encode(value))),
      (messages) => raw.sendAll(messages)
    )
})
