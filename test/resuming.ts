import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { Resume } from "effect-websockets"
import { makeNetwork } from "./reconnecting.js"

/** What tests of sessions share: a network with a server that keeps them, which can be started anew. */

const quiet = Logger.remove(Logger.defaultLogger)

export interface ServerOptions extends Resume.SessionOptions, Resume.StoreOptions {}

export const makeSessions = Effect.gen(function* () {
  const network = yield* makeNetwork
  return {
    ...network,
    /** Starts a server that keeps sessions; gives them and how to stop it. */
    serveSessions: <A, E>(
      handle: (connection: Resume.ResumableConnection) => Effect.Effect<A, E, Scope.Scope>,
      options: ServerOptions = {}
    ) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
        const context = yield* Layer.buildWithScope(Layer.provide(Resume.layer(options), quiet), scope)
        const handler = Resume.handler(handle, options)
        const stop = yield* network.serve(
          (connection) => handler(connection).pipe(Effect.provide(context), Effect.provide(quiet)),
          { subprotocols: [Resume.subprotocol] }
        )
        return {
          size: Context.get(context, Resume.Sessions).size,
          stop: Effect.zipRight(stop, Scope.close(scope, Exit.void))
        }
      })
  }
})
