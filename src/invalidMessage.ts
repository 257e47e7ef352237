import * as Effect from "effect/Effect"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { DecodeError } from "./DecodeError.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { InvalidPolicy, Options, Sender, Underlying } from "./SchemaConnection.js"
import { closeFrame } from "./spoken.js"
import type { Invalid } from "./typedReading.js"

/** What becomes of a message that is none of the protocol's, by what the options say. */

/** RFC 6455 §7.4.1: a type of message that cannot be accepted, or data that does not fit its type. */
const codeOf = ({ reason }: DecodeError): number =>
  reason._tag === "MessageType" ? CloseCode.UnsupportedData : CloseCode.InvalidFramePayloadData

/** For the close frame: what was expected, and nothing of what came. */
const reasonOf = ({ codec, reason }: DecodeError): string => {
  switch (reason._tag) {
    case "MessageType":
      return `${reason.expected} expected`
    case "Syntax":
      return `${codec} expected`
    case "Schema":
    case "Thrown":
      return "not a message of the protocol"
  }
}

export const invalidOf = <Policy extends InvalidPolicy, Out, R, E, R2>(
  raw: Pick<Underlying, "close">,
  sender: Sender<Out, R>,
  options: Options<Policy, Out, R, E, R2>
): Invalid<E | DecodeError, R2> => {
  const { invalid = "fail", invalidCode, onInvalid } = options
  // What cannot be sent is found out here, not when a peer is at fault.
  if (invalidCode !== undefined) closeFrame({ code: invalidCode })
  const settle = (error: DecodeError): Effect.Effect<ConnectionClosed | undefined, DecodeError> => {
    switch (invalid) {
      case "fail":
        return Effect.fail(error)
      case "skip":
        return Effect.succeed(undefined)
      case "close":
        return raw.close({ code: invalidCode ?? codeOf(error), reason: reasonOf(error) })
    }
  }
  if (onInvalid === undefined) return settle
  return (error) =>
    Effect.zipRight(
      Effect.suspend(() => onInvalid(error, sender)),
      settle(error)
    )
}
