import { RequestError } from "@effect/platform/HttpServerError"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as Respondable from "@effect/platform/HttpServerRespondable"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import type { Socket } from "@effect/platform/Socket"
import * as Effect from "effect/Effect"
import type { Asked } from "./asked.js"
import { fromConnection } from "./PlatformSocket.js"

/** A request for which there is no WebSocket; a route that fails or dies with it gives the answer that says why. */
class Refused extends RequestError {
  readonly response: HttpServerResponse

  constructor(request: HttpServerRequest, response: HttpServerResponse) {
    super({ request, reason: "Decode", description: `the upgrade is refused with status ${response.status}` })
    this.response = response
  }

  override [Respondable.symbol](): HttpServerResponse {
    return this.response
  }
}

/**
 * The connection of a request as platform's socket. The opening handshake is
 * done first, and what comes before the socket runs waits for that; the
 * connection ends with the scope of the route, as that does.
 */
const socketOf = (request: HttpServerRequest, asked: Asked): Effect.Effect<Socket, RequestError> =>
  Effect.mapBoth(asked.connection, {
    onSuccess: (connection) => fromConnection(connection),
    onFailure: (response) => new Refused(request, response)
  })

/** A request whose `upgrade` is ours, and that of every request that routers and middleware make of it. */
export const upgradable = (request: HttpServerRequest, asked: Asked): HttpServerRequest =>
  Object.create(request, {
    upgrade: { get: () => socketOf(request, asked) },
    modify: {
      value: (options: Parameters<HttpServerRequest["modify"]>[0]) => upgradable(request.modify(options), asked)
    }
  })
