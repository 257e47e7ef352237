/**
 * A counter that everybody who has the page open sees and changes.
 *
 * One `Protocol` says what goes either way; the state is in one
 * SubscriptionRef, whose changes go to each tab. A tab that sends nonsense is
 * told so and stays. However one leaves, the others see one less.
 *
 * Run it with `npx tsx examples/counter.ts`, open http://localhost:6789/ in several tabs.
 */
import { fileURLToPath } from "node:url"
import { Context, Effect, Layer, Schema, Stream, SubscriptionRef } from "effect"
import { type Connection, Protocol, SchemaConnection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { servePage } from "./show-time.js"

export const Counter = Protocol.make({
  client: Schema.Struct({ action: Schema.Literal("plus", "minus") }),
  server: Schema.Union(
    Schema.Struct({ type: Schema.Literal("users"), count: Schema.Int }),
    Schema.Struct({ type: Schema.Literal("value"), value: Schema.Int }),
    Schema.Struct({ type: Schema.Literal("error"), message: Schema.String })
  )
})

/** What all connections share. */
export class State extends Context.Tag("State")<
  State,
  SubscriptionRef.SubscriptionRef<{ readonly users: number; readonly value: number }>
>() {
  static readonly layer = Layer.effect(State, SubscriptionRef.make({ users: 0, value: 0 }))
}

export const count = Effect.fn("count")(function* (connection: Connection.Connection) {
  const counter = SchemaConnection.server(connection, Counter, {
    invalid: "skip",
    onInvalid: (_, { send }) => send({ type: "error", message: "an action is plus or minus" })
  })
  const state = yield* State
  const add = (field: "users" | "value", by: number) =>
    SubscriptionRef.update(state, (now) => ({ ...now, [field]: now[field] + by }))
  yield* Effect.acquireRelease(add("users", 1), () => add("users", -1))

  // A tab that is slow to read gets the latest state, not all that were.
  const now = Stream.buffer(state.changes, { capacity: 1, strategy: "sliding" })
  const users = Stream.changes(Stream.map(now, ({ users }) => users))
  const values = Stream.changes(Stream.map(now, ({ value }) => value))
  yield* Effect.forkScoped(Stream.runForEach(users, (count) => counter.send({ type: "users", count })))
  yield* Effect.forkScoped(Stream.runForEach(values, (value) => counter.send({ type: "value", value })))
  yield* SchemaConnection.runForEach(counter, ({ action }) => add("value", action === "plus" ? 1 : -1))
})

export const counterServer = (options: { readonly port: number }) =>
  Layer.unwrapEffect(Effect.map(servePage("counter.html"), (page) => WebSocketServer.layer(count, page))).pipe(
    Layer.provide(Layer.merge(State.layer, NodeListener.layer({ host: "localhost", ...options })))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  Layer.launch(counterServer({ port: 6789 })).pipe(runMain)
}
