import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope, Stream } from "effect"
import { InvalidUri } from "effect-websockets"
import { connect, echo, leavesNothing, rawConnect, requestText, serve } from "./support.js"

/** Requests that node and the library read differently, or that come before the last one is answered. */

describe("H2: an upgrade that node does not see", () => {
  it.live.each([undefined, () => Effect.void])("is refused, and the process lives", (onRequest) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { onRequest })
        for (const value of ["Upgrade\t", "Upgrade\t,foo"]) {
          const peer = yield* rawConnect(port)
          yield* peer.write(requestText("GET / HTTP/1.1", { Connection: value }))
          assert.match(yield* peer.head, /^HTTP\/1\.1 4\d\d /)
        }
        yield* connect(`ws://127.0.0.1:${port}`)
      })
    )
  )
})

describe("H2: an upgrade that is pipelined behind a request without an answer yet", () => {
  const page = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
  const upgrades = [
    ["a good one", requestText()],
    ["a bad one", requestText("GET / HTTP/1.1", { "Sec-WebSocket-Version": "12" })]
  ] as const
  it.live.each(upgrades)("ends the connection, before frames and answers mix: %s", ([, upgrade]) =>
    leavesNothing(
      Effect.gen(function* () {
        const slow = yield* Deferred.make<void>()
        const { port } = yield* serve(({ send }) => send("hello"), {
          onRequest: ({ url }) =>
            url === "/slow" ? Effect.as(Deferred.await(slow), HttpServerResponse.text("SLOW")) : Effect.void
        })
        const peer = yield* rawConnect(port)
        yield* peer.write(page + upgrade)
        const { bytes } = yield* peer.rest
        assert.strictEqual(bytes.length, 0)
        yield* Deferred.succeed(slow, undefined)
        yield* connect(`ws://127.0.0.1:${port}`)
      })
    )
  )
})

describe("H6: a hook's answer to an upgrade", () => {
  it.live("may be large, and reaches the peer whole", () =>
    leavesNothing(
      Effect.gen(function* () {
        const chunk = "x".repeat(10_000)
        const { port } = yield* serve(echo, {
          onRequest: () =>
            Effect.succeed(HttpServerResponse.stream(Stream.encodeText(Stream.take(Stream.repeatValue(chunk), 100))))
        })
        const peer = yield* rawConnect(port)
        yield* peer.write(requestText())
        assert.isAtLeast((yield* peer.rest).bytes.length, 1_000_000)
      })
    )
  )

  it.live("is not over before what the hook acquired is released: a stopping server waits for that", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      let released = false
      const { port } = yield* Scope.extend(
        serve(echo, {
          onRequest: () =>
            Effect.zipRight(
              Effect.addFinalizer(() =>
                Effect.andThen(Effect.sleep("50 millis"), () => {
                  released = true
                })
              ),
              Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
            )
        }),
        scope
      )
      const peer = yield* rawConnect(port)
      yield* peer.write(requestText())
      yield* Deferred.await(begun)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(released)
    }).pipe(Effect.scoped)
  )
})

describe("C1: a URI that is wrong", () => {
  it.scopedLive.each([
    "ws://user:se/cret@host",
    "ws://user:se#cret@host",
    "user:secret@host/x",
    "ws:\\\\user:secret@host/#x",
    "ws://host/#secret"
  ])("keeps its secrets: %s", (uri) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(connect(uri))
      assert.instanceOf(error, InvalidUri)
      assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /secret|cret/)
    })
  )
})
