import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Random,
  Ref,
  Scope,
  TestClock
} from "effect"
import {
  type Connection,
  ConnectionClosed,
  ConnectionRegistry,
  type HandshakeError,
  Router,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** A server that is drained, in memory, where time is the test's. */

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown, unknown, WebSocketServer.Stopping>

const serving = (handler: Handler, options: WebSocketServer.ServerOptions = { drain: {} }) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const warnings = yield* Ref.make<ReadonlyArray<string>>([])
    const logger = Logger.make(({ message }) =>
      Effect.runSync(Ref.update(warnings, (all) => [...all, String(message)]))
    )
    const network = yield* Layer.build(Testing.layer)
    const services = Layer.succeedContext(network)
    const layer = WebSocketServer.layer(handler, options).pipe(Layer.provide(services))
    const server = yield* Layer.buildWithScope(layer, scope)
    const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
    const connect = Effect.provide(WebSocketClient.connect("ws://memory"), client)
    return {
      connect,
      registry: Context.get(server, ConnectionRegistry.ConnectionRegistry),
      network: Context.get(network, Testing.Network),
      warnings: Ref.get(warnings),
      /** Begins to stop, and says whether that is over. */
      stop: Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          Scope.close(scope, Exit.void).pipe(
            Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
            Effect.withRandom(Random.make("drain"))
          )
        )
        yield* settle
        return { isOver: Effect.sync(() => fiber.unsafePoll() !== null), end: Fiber.join(fiber) }
      })
    }
  })

/** Lets time pass and everything happen that is due. */
const pass = (time: number) => Effect.zipRight(TestClock.adjust(time), settle)

const untilClosed: Handler = ({ closed }) => closed

const codeOf = (connection: Connection.Connection) => Effect.map(connection.closed, ConnectionClosed.code)

describe("a server without drain", () => {
  it.scoped("H12: interrupts its handlers at once, and tells peers 1001", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(() => Effect.never, {})
      const connection = yield* connect
      const { end } = yield* stop
      yield* end
      assert.strictEqual(yield* codeOf(connection), 1001)
    })
  )
})

describe("a server that is drained", () => {
  it.scoped("H12: tells its peers 1001 at once, and interrupts no handler before it has ended by itself", () =>
    Effect.gen(function* () {
      const done = yield* Ref.make<ReadonlyArray<string>>([])
      const { connect, registry, stop } = yield* serving((connection) =>
        Effect.gen(function* () {
          const job = yield* connection.receiveText
          yield* Effect.sleep("5 seconds")
          yield* Ref.update(done, (all) => [...all, job])
          yield* connection.receive
        })
      )
      const connection = yield* connect
      yield* connection.send("a job")
      yield* settle
      const { isOver, end } = yield* stop
      assert.strictEqual(yield* codeOf(connection), 1001)
      yield* pass(4_999)
      assert.isFalse(yield* isOver)
      assert.deepStrictEqual(yield* Ref.get(done), [])
      yield* pass(1)
      yield* end
      assert.deepStrictEqual(yield* Ref.get(done), ["a job"])
      assert.strictEqual(yield* registry.size, 0)
    })
  )

  it.scoped("H12: stops at once when nobody is there", () =>
    Effect.gen(function* () {
      const { end } = yield* (yield* serving(untilClosed)).stop
      yield* end
    })
  )

  it.scoped("H12: interrupts what is left a second before its 30 seconds are up, for finalizers", () =>
    Effect.gen(function* () {
      const events = yield* Ref.make<ReadonlyArray<string>>([])
      const note = (event: string) => Ref.update(events, (all) => [...all, event])
      const { connect, stop, warnings } = yield* serving(() =>
        Effect.onInterrupt(Effect.never, () => Effect.zipRight(Effect.sleep("900 millis"), note("finalized")))
      )
      yield* connect
      const { isOver, end } = yield* stop
      yield* pass(28_999)
      assert.isFalse(yield* isOver)
      yield* pass(1)
      assert.isFalse(yield* isOver)
      yield* pass(900)
      yield* end
      assert.deepStrictEqual(yield* Ref.get(events), ["finalized"])
      assert.deepStrictEqual(yield* warnings, [])
    })
  )

  it.scoped("H12: is over when its time is up, whatever handlers do, and says how many it leaves", () =>
    Effect.gen(function* () {
      const { connect, stop, warnings } = yield* serving(() => Effect.uninterruptible(Effect.never), {
        drain: { timeout: "5 seconds" }
      })
      yield* connect
      yield* connect
      const { isOver, end } = yield* stop
      yield* pass(4_999)
      assert.isFalse(yield* isOver)
      yield* pass(1)
      yield* end
      assert.deepStrictEqual(yield* warnings, [
        "2 handlers did not end within drain.timeout (5000 ms) and are left behind"
      ])
    })
  )

  it.scoped("H12: is over when its time is up, whatever peers do: they are cut", () =>
    Effect.gen(function* () {
      const { connect, network, stop, registry } = yield* serving(untilClosed, {
        closeTimeout: "1 hour",
        drain: { timeout: "5 seconds" }
      })
      const [deaf] = [yield* connect, yield* connect]
      const [wire] = yield* network.wires
      yield* wire!.stall
      const { isOver, end } = yield* stop
      assert.strictEqual(yield* registry.size, 1)
      yield* pass(4_999)
      assert.isFalse(yield* isOver)
      yield* pass(1)
      yield* end
      assert.strictEqual(yield* registry.size, 0)
      yield* wire!.cut
      yield* deaf.closed
    })
  )

  it.scoped("H12: says 1012 instead where it is told so, also to who ends by itself meanwhile", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(() => Effect.flatMap(WebSocketServer.Stopping, (stopping) => stopping), {
        drain: { code: 1012, grace: "1 second" }
      })
      const connection = yield* connect
      const { end } = yield* stop
      yield* end
      assert.strictEqual(yield* codeOf(connection), 1012)
    })
  )

  it.scoped("H12: lets handlers say something to their peers for as long as grace, then says 1001", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(
        (connection) =>
          Effect.gen(function* () {
            yield* yield* WebSocketServer.Stopping
            yield* connection.send("I am leaving")
            yield* connection.closed
          }),
        { drain: { grace: "2 seconds" } }
      )
      const connection = yield* connect
      const { end } = yield* stop
      assert.strictEqual(yield* connection.receive, "I am leaving")
      yield* pass(1_999)
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* pass(1)
      assert.strictEqual(yield* codeOf(connection), 1001)
      yield* end
    })
  )

  it.scoped("H12: spreads its close frames over jitter", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(untilClosed, { drain: { jitter: "10 seconds" } })
      const connections = yield* Effect.all(Array.from({ length: 100 }, () => connect))
      const { isOver, end } = yield* stop
      const closed = Effect.map(
        Effect.all(connections.map(({ state }) => state)),
        (states) => states.filter(({ _tag }) => _tag !== "Open").length
      )
      const counts: Array<number> = []
      for (let second = 0; second < 10; second++) {
        counts.push(yield* closed)
        yield* pass(1_000)
      }
      counts.push(yield* closed)
      yield* end
      assert.isTrue(yield* isOver)
      assert.strictEqual(counts[0], 0)
      assert.strictEqual(counts[10], 100)
      for (let second = 1; second <= 10; second++) {
        const more = counts[second]! - counts[second - 1]!
        assert.isTrue(more >= 1 && more <= 30, `${more} in second ${second}`)
      }
    })
  )

  it.scoped("H12: refuses whoever comes meanwhile with 503 and Retry-After", () =>
    Effect.gen(function* () {
      const { connect, stop } = yield* serving(() => Effect.uninterruptible(Effect.sleep("5 seconds")))
      yield* connect
      const { end } = yield* stop
      const { reason } = (yield* Effect.flip(connect)) as HandshakeError
      if (reason._tag !== "Rejected") return assert.fail(reason._tag)
      assert.deepStrictEqual([reason.response.status, new Map(reason.response.headers).get("Retry-After")], [503, "5"])
      yield* pass(5_000)
      yield* end
    })
  )

  it.scoped("H12: lets hooks come to their end, but opens no connection any more", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const interrupted = yield* Ref.make(false)
      const { connect, stop } = yield* serving(untilClosed, {
        drain: {},
        onRequest: () => Effect.onInterrupt(Deferred.await(gate), () => Ref.set(interrupted, true))
      })
      const connecting = yield* Effect.fork(Effect.flip(connect))
      yield* settle
      const { isOver, end } = yield* stop
      yield* pass(1_000)
      assert.isFalse(yield* isOver)
      yield* Deferred.succeed(gate, undefined)
      assert.include((yield* Fiber.join(connecting)).message, "status 503")
      yield* end
      assert.isFalse(yield* Ref.get(interrupted))
    })
  )

  it.scoped("H12: that leaves no time for anything is a defect that says so", () =>
    Effect.gen(function* () {
      const senseless: ReadonlyArray<WebSocketServer.DrainOptions> = [
        { timeout: 0 },
        { grace: "20 seconds", jitter: "10 seconds" },
        { timeout: Duration.infinity }
      ]
      for (const drain of senseless) {
        const exit = yield* Effect.exit(Effect.scoped(Testing.connect(untilClosed, { server: { drain } })))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "drain.timeout is")
      }
    })
  )

  it.scoped("H12: takes how it is drained from the configuration", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = Layer.succeedContext(yield* Layer.build(Testing.layer))
      const layer = WebSocketServer.layerConfig(() => Effect.uninterruptible(Effect.never), {
        drain: { timeout: Config.duration("DRAIN_TIMEOUT"), code: Config.succeed(1012 as const) }
      })
      yield* Layer.buildWithScope(Layer.provide(layer, services), scope).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DRAIN_TIMEOUT", "3 seconds"]])))
      )
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), client)
      const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      assert.strictEqual(yield* codeOf(connection), 1012)
      yield* pass(2_999)
      assert.isNull(stopping.unsafePoll())
      yield* pass(1)
      yield* Fiber.join(stopping)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )

  it.scoped("H12: tells routes' handlers too that it stops", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = Layer.succeedContext(yield* Layer.build(Testing.layer))
      const router = Router.make(
        Router.websocket("/", () => Effect.flatten(WebSocketServer.Stopping)),
        Router.get("/", () => Effect.succeed(HttpServerResponse.empty()))
      )
      yield* Layer.buildWithScope(
        Layer.provide(Router.layer(router, { drain: { grace: "1 second" } }), services),
        scope
      )
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory"), client)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* codeOf(connection), 1001)
    })
  )
})
