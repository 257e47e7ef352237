/**
 * Registers connections, tells everybody of a new one, and forgets who leaves.
 *
 * The server's `ConnectionRegistry` has all of its connections already. A set
 * of one's own is for what the program knows beyond that, here who has a name:
 * what a handler acquires is released when its connection ends, in whatever way.
 */
import { Context, Effect, Layer, Ref } from "effect"
import { type Connection, ConnectionRegistry } from "effect-websockets"

/** Who is here, by name. */
export class Members extends Context.Tag("examples/Members")<Members, Ref.Ref<ReadonlyMap<number, string>>>() {
  static readonly layer = Layer.effect(Members, Ref.make<ReadonlyMap<number, string>>(new Map()))
}

const join = (id: number, name: string) =>
  Effect.flatMap(Members, (members) => Ref.update(members, (all) => new Map([...all, [id, name]])))

const leave = (id: number) =>
  Effect.flatMap(Members, (members) =>
    Ref.update(members, (all) => new Map([...all].filter(([member]) => member !== id)))
  )

export const registration = Effect.fn("registration")(function* (connection: Connection.Connection) {
  const registry = yield* ConnectionRegistry.ConnectionRegistry
  const name = yield* connection.receiveText
  yield* Effect.acquireRelease(join(connection.id, name), () => leave(connection.id))
  yield* registry.broadcast(`Hello ${name}!`)
  yield* connection.closed
})
