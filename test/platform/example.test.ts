import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { WebSocketServer } from "effect-websockets"
import { afterEach, vi } from "vitest"
import { calls, rpcClient, rpcServer } from "../../examples/rpc.js"
import { leavesNothing } from "../node/support.js"

/** The example of RPC, as the README shows it. */

afterEach(() => {
  vi.restoreAllMocks()
})

it.live("prints what the procedures answer, an answer and a stream", () => {
  const printed: Array<unknown> = []
  vi.spyOn(console, "log").mockImplementation((line) => void printed.push(line))
  return leavesNothing(
    Effect.gen(function* () {
      const { address } = yield* WebSocketServer.WebSocketServer
      const port = address._tag === "TcpAddress" ? address.port : assert.fail("no TCP port")
      yield* Effect.provide(calls, rpcClient(`ws://localhost:${port}`))
      assert.deepStrictEqual(printed, ["Hello World!", 2, 1, 0])
    }).pipe(Effect.provide(rpcServer({ port: 0 }).pipe(Layer.provide(Logger.remove(Logger.defaultLogger)))))
  )
})
