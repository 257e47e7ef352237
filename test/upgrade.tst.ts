import type { HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Context, type Effect, type Scope } from "effect"
import type { Connection, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { PlatformHttpServer } from "effect-websockets/platform"
import { describe, expect, it } from "tstyche"

class User extends Context.Tag("User")<User, { readonly name: string }>() {}

declare const needing: <R>() => (connection: Connection.Connection) => Effect.Effect<void, string, R>

describe("PlatformHttpServer.upgrade", () => {
  it("is a route that never fails", () => {
    expect(PlatformHttpServer.upgrade(needing<never>())).type.toBe<
      Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
    >()
  })

  it("needs what its handler needs, except what is the connection's and the server's own", () => {
    const handler = needing<User | Scope.Scope | ConnectionRegistry.ConnectionRegistry | WebSocketServer.Stopping>()
    expect(PlatformHttpServer.upgrade(handler)).type.toBe<
      Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest | User>
    >()
  })

  it("takes no option that is its server's", () => {
    expect(PlatformHttpServer.upgrade).type.not.toBeCallableWith(needing<never>(), { openTimeout: "1 second" })
    expect(PlatformHttpServer.upgrade).type.not.toBeCallableWith(needing<never>(), { drain: {} })
  })
})
