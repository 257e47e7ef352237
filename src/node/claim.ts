import type { Server } from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { ListenError } from "../ListenError.js"

const claimed = new WeakSet<Server>()

const taken = () =>
  new ListenError({
    address: "the server that was given",
    code: undefined,
    cause: new Error(
      "another server of effect-websockets answers its peers already, and two answers to one request would mix: give each a server of its own, or make both routes of one PlatformHttpServer"
    )
  })

/** Has a server of node's for itself, as long as the scope is open; fails where somebody else of ours has. */
export const claim = (server: Server): Effect.Effect<void, ListenError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (claimed.has(server)) return Effect.fail(taken())
      claimed.add(server)
      return Effect.void
    }),
    () => Effect.sync(() => claimed.delete(server))
  )
