import * as Socket from "@effect/platform/Socket"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import { type ConnectOptions, WebSocketClient } from "../WebSocketClient.js"
import { WebSocketObject } from "./webSocketObject.js"

/**
 * Our client in the shape of the web's `WebSocket`, for what asks for a `WebSocketConstructor`.
 *
 * `PlatformSocket` does more: this shape knows no backpressure, and drops what is sent when it is too late.
 */

/**
 * The constructor that `Socket.makeWebSocket` asks for. What it makes lives
 * in the layer's scope, which closes what is still open.
 *
 * It differs from the web's in three things: binary messages are
 * `Uint8Array`s unless `binaryType` is set, since blobs would be read out of
 * order; `close` takes every code that a close frame may have; and an `error`
 * event has the `error` that it is about. An address or a subprotocol that
 * cannot be is a `SyntaxError`, thrown as by the web's.
 */
export const layerConstructor = (
  options: Omit<ConnectOptions, "subprotocols"> = {}
): Layer.Layer<Socket.WebSocketConstructor, never, WebSocketClient> =>
  Layer.scoped(
    Socket.WebSocketConstructor,
    Effect.gen(function* () {
      const client = yield* WebSocketClient
      const run = yield* FiberSet.makeRuntime<never>()
      return (url, protocols = []) => {
        const subprotocols = [protocols].flat()
        const asked = subprotocols.length === 0 ? options : { ...options, subprotocols }
        return new WebSocketObject(url, subprotocols, client.connect(url, asked), run)
      }
    })
  )
