import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Connection } from "effect-websockets"
import { NodeProxy } from "effect-websockets/node"
import { connectVia } from "../node/proxies.js"
import { echo, failureOf, interruptedAtAnyMoment, leavesNothing, serve, signer } from "../node/support.js"
import { requires } from "../support/requirements.js"
import { sharing } from "../support/sharing.js"
import { type RealProxy, type RunningProxy, realProxies } from "./proxies.js"

class Proxy extends Context.Tag("test/interop/Proxy")<Proxy, RunningProxy>() {}

const bytes = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 7) & 255)

/** Texts, bytes, a ping and the closing handshake. */
const talk = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    for (const message of ["Grüße, 👋🏽", "", bytes]) {
      yield* connection.send(message)
      assert.deepStrictEqual(yield* connection.receive, message)
    }
    yield* connection.ping
    const { closure } = yield* connection.close({ code: 4321, reason: "enough" })
    assert.deepStrictEqual(closure.received, { code: 4321, reason: "" })
  })

const servers = Effect.gen(function* () {
  const { ca, sign } = yield* signer
  const pair = yield* Effect.promise(() => sign({ names: ["localhost", "127.0.0.1"] }))
  const plain = yield* serve(echo)
  const secure = yield* serve(echo, { listen: { port: 0, host: "127.0.0.1", tls: pair } })
  return { ca, plain: plain.port, secure: secure.port }
})

const through = (scheme: string, { port, ca }: RunningProxy, user = "") =>
  NodeProxy.layer(`${scheme}://${user}127.0.0.1:${port}`, { tls: { ca } })

const define = ({ name, needs, schemes, start, knowsAda }: RealProxy) =>
  requires(...needs)(name, () => {
    sharing(
      Layer.scoped(Proxy, start),
      "60 seconds"
    )((it) => {
      const user = knowsAda ? "ada:hunter2@" : ""

      it.effect.each(schemes)("C5: as %s carries ws and wss", (scheme) =>
        Effect.gen(function* () {
          const proxy = through(scheme, yield* Proxy, user)
          yield* leavesNothing(
            Effect.gen(function* () {
              const { ca, plain, secure } = yield* servers
              yield* Effect.flatMap(connectVia(proxy, `ws://127.0.0.1:${plain}`), talk)
              yield* Effect.flatMap(connectVia(proxy, `wss://127.0.0.1:${secure}`, {}, { tls: { ca } }), talk)
              yield* Effect.flatMap(connectVia(proxy, `ws://localhost:${plain}`), talk)
            })
          )
        })
      )

      it.effect.each(schemes)("C5: as %s says that there is no server, in an error of the proxy", (scheme) =>
        Effect.gen(function* () {
          const proxy = through(scheme, yield* Proxy, user)
          const error = yield* leavesNothing(failureOf(connectVia(proxy, "ws://127.0.0.1:1")))
          if (error._tag !== "ProxyError") return assert.fail(`${error}`)
          assert.include(["Rejected", "SocksRejected"], error.reason._tag)
          assert.include(error.message, `cannot connect to 127.0.0.1:1 through the proxy ${scheme}://127.0.0.1:`)
          assert.notInclude(error.message, "hunter2")
        })
      )

      it.effect.each(schemes)("C5: as %s is left without a socket at any moment", (scheme) =>
        Effect.gen(function* () {
          const proxy = through(scheme, yield* Proxy, user)
          yield* leavesNothing(
            Effect.gen(function* () {
              const { plain } = yield* servers
              yield* interruptedAtAnyMoment(connectVia(proxy, `ws://127.0.0.1:${plain}`), 20)
            })
          )
        })
      )

      if (!knowsAda) return
      it.effect.each(schemes)("C5: as %s lets nobody else in", (scheme) =>
        Effect.gen(function* () {
          const running = yield* Proxy
          yield* leavesNothing(
            Effect.gen(function* () {
              const { plain } = yield* servers
              for (const user of ["", "ada:wrong-word@"]) {
                const proxy = through(scheme, running, user)
                const error = yield* failureOf(connectVia(proxy, `ws://127.0.0.1:${plain}`))
                if (error._tag !== "ProxyError") return assert.fail(`${error}`)
                if (scheme === "http") {
                  assert.include([401, 407], error.reason._tag === "Rejected" && error.reason.response.status)
                } else assert.strictEqual(error.reason._tag, "SocksRejected")
                assert.notInclude(error.message, "wrong-word")
              }
            })
          )
        })
      )
    })
  })

realProxies.forEach(define)
