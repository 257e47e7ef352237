import { HttpServerResponse } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import type { Connection, WebSocketClient } from "effect-websockets"
import { connect, failureOf, leavesNothing, serve, signer } from "../node/support.js"
import { requires } from "../support/requirements.js"
import { sharing } from "../support/sharing.js"
import { type Frontend, frontends } from "./frontends.js"

interface Running {
  /** A client of ours at the front, and the server's end of its connection. */
  readonly open: (options?: WebSocketClient.ConnectOptions) => ReturnType<typeof both>
  readonly connect: (path: string, options?: WebSocketClient.ConnectOptions) => ReturnType<typeof connect>
  readonly origin: string
}

class Started extends Context.Tag("test/interop/Started")<Started, Running>() {}

const both = (client: ReturnType<typeof connect>, accepted: Queue.Dequeue<Connection.Connection>) =>
  Effect.all({ ours: client, theirs: Queue.take(accepted) })

const start = (frontend: Frontend, isSecure: boolean) =>
  Effect.gen(function* () {
    const { ca, sign } = yield* signer
    const pair = yield* Effect.promise(() => sign({ names: ["127.0.0.1"] }))
    const accepted = yield* Queue.unbounded<Connection.Connection>()
    const server = yield* serve((connection) => Effect.zipRight(accepted.offer(connection), connection.closed), {
      onRequest: ({ url }) =>
        Effect.succeed(url === "/forbidden" ? HttpServerResponse.text("Not you.", { status: 403 }) : undefined)
    })
    const { port } = yield* frontend.start(server.port, isSecure ? pair : undefined)
    const authority = `${isSecure ? "s" : ""}://127.0.0.1:${port}`
    const connectTo = (path: string, options?: WebSocketClient.ConnectOptions) =>
      connect(`ws${authority}${path}`, options, { tls: { ca } })
    return Started.of({
      open: (options) => both(connectTo("/", options), accepted),
      connect: connectTo,
      origin: `http${authority}`
    })
  })

const bytes = Uint8Array.from({ length: 1_048_576 }, (_, i) => (i * 7) & 255)

const define = (frontend: Frontend, isSecure: boolean) =>
  requires(frontend.name)(`${frontend.name} with ${isSecure ? "TLS that ends there" : "nothing but TCP"}`, () => {
    sharing(
      Layer.scoped(Started, start(frontend, isSecure)),
      "60 seconds"
    )((it) => {
      /** A test with both ends of a connection, of which nothing is left on our side. */
      const talk = (
        name: string,
        test: (ours: Connection.Connection, theirs: Connection.Connection) => Effect.Effect<unknown, unknown>,
        options?: WebSocketClient.ConnectOptions
      ) =>
        it.effect(name, () =>
          Effect.flatMap(Started, ({ open }) =>
            Effect.scoped(Effect.flatMap(open(options), ({ ours, theirs }) => test(ours, theirs)))
          )
        )

      talk("carries texts, bytes and 1 MiB, both ways", (ours, theirs) =>
        Effect.gen(function* () {
          for (const [from, to] of [
            [ours, theirs],
            [theirs, ours]
          ] as const) {
            for (const message of ["Grüße, 👋🏽", "", new Uint8Array(0), bytes, "é".repeat(524_288)]) {
              yield* from.send(message)
              assert.deepStrictEqual(yield* to.receive, message)
            }
          }
        })
      )

      talk("carries many messages at once, in order", (ours, theirs) =>
        Effect.gen(function* () {
          const numbers = Array.from({ length: 2_000 }, (_, i) => String(i))
          yield* Effect.fork(ours.sendAll(numbers))
          for (const number of numbers) assert.strictEqual(yield* theirs.receive, number)
        })
      )

      talk("carries pings and pongs, both ways", (ours, theirs) =>
        Effect.gen(function* () {
          yield* ours.ping
          yield* theirs.ping
        })
      )

      for (const [code, reason] of [
        [1000, ""],
        [1001, "going"],
        [3000, "ours"],
        [4999, "ü".repeat(61)]
      ] as const) {
        talk(`carries the close code ${code}, from the client`, (ours, theirs) =>
          Effect.gen(function* () {
            const { closure } = yield* ours.close({ code, reason })
            assert.strictEqual(closure.received?.code, code)
            assert.deepStrictEqual((yield* theirs.closed).closure.received, { code, reason })
          })
        )

        talk(`carries the close code ${code}, from the server`, (ours, theirs) =>
          Effect.gen(function* () {
            yield* Effect.fork(theirs.close({ code, reason }))
            assert.deepStrictEqual((yield* ours.closed).closure.received, { code, reason })
          })
        )
      }

      talk(
        "says where the client is in headers that stay as they are, and are believed by nobody",
        (_, theirs) =>
          Effect.sync(() => {
            const { headers } = theirs.handshake.request
            const valuesOf = (name: string) =>
              headers.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value)
            assert.deepStrictEqual(valuesOf("x-forwarded-for"), frontend.forwardedFor("203.0.113.7"))
            assert.deepStrictEqual(valuesOf("x-forwarded-proto"), [isSecure ? "https" : "http"])
            const { remoteAddress } = theirs
            assert.include(JSON.stringify(remoteAddress), '"127.0.0.1"')
          }),
        { headers: { "X-Forwarded-For": "203.0.113.7" } }
      )

      it.effect("lets pages of its own in, and no others", () =>
        Effect.gen(function* () {
          const { open, connect, origin } = yield* Started
          yield* Effect.scoped(open({ origin }))
          const error = yield* failureOf(connect("/", { origin: "https://elsewhere.example" }))
          assert.include(error.message, "status 403")
        })
      )

      it.effect("hands on a refusal, with its body", () =>
        Effect.gen(function* () {
          const { connect } = yield* Started
          const error = yield* leavesNothing(failureOf(connect("/forbidden")))
          assert.include(error.message, "the server answered with status 403: Not you.")
        })
      )
    })
  })

for (const frontend of frontends) {
  for (const isSecure of [false, true]) define(frontend, isSecure)
}
