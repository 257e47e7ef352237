import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Codec } from "./Codec.js"
import { DecodeError, type DecodeReason } from "./DecodeError.js"
import { EncodeError, type EncodeReason } from "./EncodeError.js"
import type { Message } from "./inbox.js"
import { stackless } from "./stackless.js"

/** Messages and values of a schema, made into each other. */

/** What is there at once, or else takes an Effect, as where a schema has services. */
export type Outcome<A, E, R> = Either.Either<A, E> | Effect.Effect<A, E, R>

export const isNow = <A, E, R>(outcome: Outcome<A, E, R>): outcome is Either.Either<A, E> => Either.isEither(outcome)

export interface Coding<A, R> {
  readonly decode: (message: Message) => Outcome<A, DecodeError, R>
  readonly encode: (value: A) => Outcome<Message, EncodeError, R>
}

/** Goes on with what a schema gives, whose functions may throw, be it for what a peer has sent. */
const guarded = <A, E, R>(
  parse: () => Effect.Effect<A, ParseResult.ParseIssue, R>,
  refused: (reason: Extract<DecodeReason, EncodeReason>) => E
): Outcome<A, E, R> => {
  const failed = (issue: ParseResult.ParseIssue) =>
    refused({ _tag: "Schema", error: stackless(() => ParseResult.parseError(issue)) })
  const threw = (cause: unknown) => refused({ _tag: "Thrown", cause })
  try {
    const parsed: Outcome<A, ParseResult.ParseIssue, R> = parse()
    if (!isNow(parsed)) {
      return Effect.catchAllDefect(Effect.mapError(parsed, failed), (defect) => Effect.fail(threw(defect)))
    }
    return Either.isRight(parsed) ? Either.right(parsed.right) : Either.left(failed(parsed.left))
  } catch (cause) {
    return Either.left(threw(cause))
  }
}

const decodeWith = (codec: Codec, received: Message): Either.Either<unknown, DecodeReason> => {
  try {
    if (codec.type === "text" && typeof received === "string") return Either.right(codec.decode(received))
    if (codec.type === "binary" && typeof received !== "string") return Either.right(codec.decode(received))
  } catch (cause) {
    return Either.left({ _tag: "Syntax", cause })
  }
  return Either.left({ _tag: "MessageType", expected: codec.type })
}

/** Prepared once for a protocol. */
export const makeCoding = <S extends Schema.Schema.All>(
  codec: Codec,
  schema: S
): Coding<Schema.Schema.Type<S>, Schema.Schema.Context<S>> => {
  const decode = ParseResult.decodeUnknown(Schema.asSchema(schema))
  const encode = ParseResult.encodeUnknown(Schema.asSchema(schema))
  return {
    decode: (received) => {
      const refused = (reason: DecodeReason) =>
        stackless(() => new DecodeError({ codec: codec.name, received, reason }))
      const value = decodeWith(codec, received)
      return Either.isRight(value) ? guarded(() => decode(value.right), refused) : Either.left(refused(value.left))
    },
    encode: (value) => {
      const refused = (reason: EncodeReason) => new EncodeError({ codec: codec.name, value, reason })
      const finish = (encoded: unknown): Either.Either<Message, EncodeError> => {
        try {
          return Either.right(codec.encode(encoded))
        } catch (cause) {
          return Either.left(refused({ _tag: "Thrown", cause }))
        }
      }
      const encoded = guarded(() => encode(value), refused)
      if (!isNow(encoded)) return Effect.flatMap(encoded, finish)
      return Either.isRight(encoded) ? finish(encoded.right) : Either.left(encoded.left)
    }
  }
}
