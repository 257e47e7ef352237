import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConnectionClosed } from "effect-websockets"
import { launch } from "./child.js"
import { connect } from "./support.js"

describe("runMain", () => {
  it.scopedLive.each(["SIGINT", "SIGTERM"] as const)("on %s says 1001 to every peer, and exits with 0", (signal) =>
    Effect.gen(function* () {
      const child = yield* launch(JSON.stringify({ port: 0, host: "127.0.0.1" }))
      const [{ port }] = JSON.parse(yield* child.said)
      const connection = yield* connect(`ws://127.0.0.1:${port}`)
      yield* connection.send("one")
      assert.strictEqual(yield* connection.receive, "one")
      child.process.kill(signal)
      const closed = yield* connection.closed
      assert.strictEqual(ConnectionClosed.code(closed), 1001)
      assert.isTrue(ConnectionClosed.isClean(closed))
      assert.strictEqual((yield* child.exit).code, 0)
    })
  )

  it.scopedLive("exits with 1 when the program fails, and says why", () =>
    Effect.gen(function* () {
      const child = yield* launch("fail")
      const { code, output } = yield* child.exit
      assert.strictEqual(code, 1)
      assert.include(output, "no reason")
    })
  )

  it.scopedLive("exits with 1 when the port is taken, and names it", () =>
    Effect.gen(function* () {
      const first = yield* launch(JSON.stringify({ port: 0, host: "127.0.0.1" }))
      const [{ port }] = JSON.parse(yield* first.said)
      const second = yield* launch(JSON.stringify({ port, host: "127.0.0.1" }))
      const { code, output } = yield* second.exit
      assert.strictEqual(code, 1)
      assert.include(output, `cannot listen on 127.0.0.1, port ${port}`)
    })
  )

  it.scopedLive("exits with 0 when the program completes", () =>
    Effect.gen(function* () {
      const child = yield* launch("return")
      assert.strictEqual((yield* child.exit).code, 0)
    })
  )
})
