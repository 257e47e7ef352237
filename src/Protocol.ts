import * as Effect from "effect/Effect"
import * as JSONSchema from "effect/JSONSchema"
import * as Schema from "effect/Schema"
import * as Codec from "./Codec.js"
import { type Coding, makeCoding } from "./coding.js"
import type { EncodeError } from "./EncodeError.js"
import type { Message } from "./inbox.js"

/**
 * What the two ends of a connection say to each other: one value, which server
 * and client share, and `SchemaConnection` gives each end its types.
 */

/**
 * How answers find their requests. A message with the field `id` is a request,
 * which has to be different for all that wait at a time; one whose field
 * `answers` has that value is its answer. Either end may ask, and answer.
 */
export interface Asks<Id extends string, Answers extends string> {
  readonly id: Id
  readonly answers: Answers
}

/** What a request can be known by. */
export type AskId = string | number | bigint

/** Those of some messages that have a field for an `AskId`. */
export type Having<A, Field extends string> = [Field] extends [never]
  ? never
  : Extract<A, { readonly [_ in Field]: AskId }>

export interface Protocol<
  out Client extends Schema.Schema.All,
  out Server extends Schema.Schema.All,
  out Id extends string = never,
  out Answers extends string = never
> {
  /** What clients send. */
  readonly client: Client
  /** What servers send. */
  readonly server: Server
  readonly codec: Codec.Codec
  readonly asks: Asks<Id, Answers> | undefined
  /** @internal */
  readonly codings: {
    readonly client: Coding<Schema.Schema.Type<Client>, Schema.Schema.Context<Client>>
    readonly server: Coding<Schema.Schema.Type<Server>, Schema.Schema.Context<Server>>
  }
}

/**
 * A protocol of what clients and what servers send: Schemas of any kind, as
 * unions of tagged structs, with transformations and with services.
 *
 * @param parts.codec how values become messages: `Codec.json` unless told otherwise.
 * @param parts.asks which fields make a message a request and an answer; without it there is no `ask`.
 */
export const make = <
  Client extends Schema.Schema.All,
  Server extends Schema.Schema.All,
  const Id extends string = never,
  const Answers extends string = never
>(parts: {
  readonly client: Client
  readonly server: Server
  readonly codec?: Codec.Codec | undefined
  readonly asks?: Asks<Id, Answers> | undefined
}): Protocol<Client, Server, Id, Answers> => {
  const { client, server, codec = Codec.json, asks } = parts
  const codings = { client: makeCoding(codec, client), server: makeCoding(codec, server) }
  return { client, server, codec, asks, codings }
}

/** A coding's message for a value, which is encoded when the Effect is run. */
const encode = <A, R>(coding: Coding<A, R>, value: A): Effect.Effect<Message, EncodeError, R> =>
  Effect.suspend(() => coding.encode(value))

/**
 * The message of a value that servers send, as the protocol's codec makes it:
 * for `ConnectionRegistry`'s broadcast. Fails with `EncodeError` as `send` does.
 */
export const encodeServer = <Client extends Schema.Schema.All, Server extends Schema.Schema.All>(
  protocol: Protocol<Client, Server, string, string>,
  value: Schema.Schema.Type<Server>
): Effect.Effect<Message, EncodeError, Schema.Schema.Context<Server>> => encode(protocol.codings.server, value)

/** The same for a value that clients send. */
export const encodeClient = <Client extends Schema.Schema.All, Server extends Schema.Schema.All>(
  protocol: Protocol<Client, Server, string, string>,
  value: Schema.Schema.Type<Client>
): Effect.Effect<Message, EncodeError, Schema.Schema.Context<Client>> => encode(protocol.codings.client, value)

/**
 * The JSON Schema of what clients and of what servers send, as it is on the
 * wire: for a page, another language, a contract's test. Throws where a part
 * has none, as `JSONSchema.make` does: give that the annotation `jsonSchema`.
 */
export const jsonSchema = (protocol: {
  readonly client: Schema.Schema.All
  readonly server: Schema.Schema.All
}): { readonly client: JSONSchema.JsonSchema7Root; readonly server: JSONSchema.JsonSchema7Root } => ({
  client: JSONSchema.make(Schema.asSchema(protocol.client)),
  server: JSONSchema.make(Schema.asSchema(protocol.server))
})
