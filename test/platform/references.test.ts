import { HttpRouter, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, FiberRef, HashMap, Logger, LogLevel, Option } from "effect"
import { PlatformHttpServer } from "effect-websockets/platform"
import { connect, echo, leavesNothing, serveApp } from "./support.js"

/** What a handler has of the fiber that ran `upgrade`, beside its services. */

const tenant = FiberRef.unsafeMake("nobody")

/** What a fiber would log with, and whose it is. */
const surroundings = Effect.gen(function* () {
  const annotations = yield* FiberRef.get(FiberRef.currentLogAnnotations)
  const level = yield* FiberRef.get(FiberRef.currentMinimumLogLevel)
  const span = yield* Effect.option(Effect.currentSpan)
  return {
    tenant: yield* FiberRef.get(tenant),
    room: Option.getOrUndefined(HashMap.get(annotations, "room")),
    level: level.label,
    span: Option.getOrUndefined(Option.map(span, ({ name }) => name))
  }
})

const telling = PlatformHttpServer.upgrade((connection) =>
  Effect.flatMap(surroundings, (all) => connection.send(JSON.stringify(all)))
)

const told = (uri: string) =>
  Effect.map(
    Effect.flatMap(connect(uri), ({ receive }) => receive),
    (text) => JSON.parse(`${text}`)
  )

describe("a handler of an upgrade", () => {
  it.live("has the references of the fiber that ran it, and those of no other route", () =>
    leavesNothing(
      Effect.gen(function* () {
        const green = telling.pipe(
          Effect.annotateLogs("room", "green"),
          Logger.withMinimumLogLevel(LogLevel.Debug),
          Effect.locally(tenant, "Ada"),
          Effect.withSpan("route of the green room")
        )
        const { ws } = yield* serveApp(
          HttpRouter.empty.pipe(HttpRouter.get("/green", green), HttpRouter.get("/", telling))
        )
        const plain = { tenant: "nobody", level: "INFO" }
        for (let time = 0; time < 2; time++) {
          assert.deepStrictEqual(yield* told(`${ws}/green`), {
            tenant: "Ada",
            room: "green",
            level: "DEBUG",
            span: "route of the green room"
          })
          const { span, ...other } = yield* told(ws)
          assert.deepStrictEqual(other, plain)
          assert.notStrictEqual(span, "route of the green room")
        }
      })
    )
  )

  it.live("logs with the loggers of its route, also in the fibers that it forks and at its end", () =>
    leavesNothing(
      Effect.gen(function* () {
        const lines: Array<string> = []
        const logger = Logger.make<unknown, void>(({ annotations, message }) => {
          lines.push(`${message} ${Option.getOrElse(HashMap.get(annotations, "room"), () => "?")}`)
        })
        const over = yield* Deferred.make<void>()
        const route = PlatformHttpServer.upgrade((connection) =>
          Effect.gen(function* () {
            yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
            yield* Effect.log("begun")
            yield* (yield* Effect.fork(Effect.log("forked"))).await
            yield* Effect.ensuring(echo(connection), Effect.log("ended"))
          })
        ).pipe(Effect.annotateLogs("room", "blue"), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        const { ws } = yield* serveApp(route)
        const connection = yield* connect(ws)
        yield* connection.close()
        yield* Deferred.await(over)
        assert.deepStrictEqual(
          lines.filter((line) => /^(begun|forked|ended) /.test(line)),
          ["begun blue", "forked blue", "ended blue"]
        )
      })
    )
  )

  it.live("changes nothing for its route, and its own changes are its own", () =>
    leavesNothing(
      Effect.gen(function* () {
        const after = yield* Deferred.make<string>()
        const route = PlatformHttpServer.upgrade(() => FiberRef.set(tenant, "Grace")).pipe(
          Effect.zipRight(Effect.flatMap(FiberRef.get(tenant), (name) => Deferred.succeed(after, name))),
          Effect.as(HttpServerResponse.empty()),
          Effect.locally(tenant, "Ada")
        )
        const { ws } = yield* serveApp(route)
        yield* Effect.flatMap(connect(ws), ({ closed }) => closed)
        assert.strictEqual(yield* Deferred.await(after), "Ada")
      })
    )
  )
})
