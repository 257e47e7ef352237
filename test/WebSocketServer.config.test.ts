import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Deferred, Effect, Exit, Layer, Option, TestClock } from "effect"
import { type Connection, type ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeDeflate } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** Every setting from the variable of its name: one that is missing here does not compile. */
const settings = {
  openTimeout: Config.duration("openTimeout"),
  closeTimeout: Config.duration("closeTimeout"),
  pingInterval: Config.duration("pingInterval"),
  pingTimeout: Config.duration("pingTimeout"),
  messageTimeout: Config.duration("messageTimeout"),
  maxLifetime: Config.duration("maxLifetime"),
  maxMessageSize: Config.number("maxMessageSize"),
  maxFrameSize: Config.number("maxFrameSize"),
  maxFragments: Config.number("maxFragments"),
  maxPingsPerSecond: Config.number("maxPingsPerSecond"),
  maxMessagesPerSecond: Config.number("maxMessagesPerSecond"),
  maxBytesPerSecond: Config.number("maxBytesPerSecond"),
  receiveHighWaterMark: Config.number("receiveHighWaterMark"),
  sendHighWaterMark: Config.number("sendHighWaterMark"),
  maxHandshakes: Config.number("maxHandshakes"),
  maxConnections: Config.number("maxConnections"),
  maxConnectionsPerKey: Config.number("maxConnectionsPerKey"),
  drain: { timeout: Config.duration("drain.timeout"), grace: Config.duration("drain.grace") },
  subprotocols: Config.array(Config.string(), "subprotocols"),
  subprotocolOptional: Config.boolean("subprotocolOptional"),
  origins: Config.array(Config.string(), "origins"),
  compression: Config.boolean("compression"),
  dangerouslyAcceptAnyOrigin: Config.boolean("dangerouslyAcceptAnyOrigin"),
  serverHeader: Config.string("serverHeader")
} satisfies { readonly [K in keyof Required<WebSocketServer.ServerSettings>]: unknown }

const durations = ["openTimeout", "closeTimeout", "pingInterval", "pingTimeout", "messageTimeout", "maxLifetime"]
const counts = [
  ...["maxMessageSize", "maxFrameSize", "maxFragments", "receiveHighWaterMark", "sendHighWaterMark"],
  ...["maxPingsPerSecond", "maxMessagesPerSecond", "maxBytesPerSecond"],
  ...["maxHandshakes", "maxConnections", "maxConnectionsPerKey"]
]

const environment = (variables: Readonly<Record<string, string>> = {}) =>
  ConfigProvider.fromMap(
    new Map(
      Object.entries({
        ...Object.fromEntries(durations.map((name) => [name, "30 seconds"])),
        ...Object.fromEntries(counts.map((name) => [name, "1000"])),
        "drain.timeout": "10 seconds",
        "drain.grace": "1 second",
        subprotocols: "b, a",
        subprotocolOptional: "true",
        origins: "https://app.example",
        compression: "true",
        dangerouslyAcceptAnyOrigin: "false",
        serverHeader: "configured/1",
        ...variables
      })
    ),
    { pathDelim: "/", seqDelim: "," }
  )

/** A server of these variables, and clients for it. */
const serve = (
  variables?: Readonly<Record<string, string>>,
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown> = ({ closed }) => closed
) =>
  Effect.gen(function* () {
    const layer = Layer.merge(WebSocketServer.layerConfig(handler, settings), WebSocketClient.layer).pipe(
      Layer.provide(NodeDeflate.layer),
      Layer.provideMerge(Testing.layer)
    )
    const context = yield* Effect.withConfigProvider(Layer.build(layer), environment(variables))
    return (options?: WebSocketClient.ConnectOptions) =>
      Effect.provide(WebSocketClient.connect("ws://memory", options), context)
  })

describe("L12: a server whose settings are all configured", () => {
  it.scoped("answers as they say", () =>
    Effect.gen(function* () {
      const connect = yield* serve()
      const agreed = yield* connect({ origin: "https://app.example", subprotocols: ["a", "b"], compression: true })
      const { extensions, response, subprotocol } = agreed.handshake
      assert.strictEqual(Option.getOrUndefined(subprotocol), "b")
      assert.deepStrictEqual(
        extensions.map(({ name }) => name),
        ["permessage-deflate"]
      )
      assert.strictEqual(new Map(response.headers).get("Server"), "configured/1")
      assert.include((yield* Effect.flip(connect({ origin: "http://memory" }))).message, "status 403")
      assert.isTrue(Option.isNone((yield* connect()).handshake.subprotocol))
      const strict = yield* serve({ subprotocolOptional: "false" })
      assert.include((yield* Effect.flip(strict())).message, "status 400")
      const open = yield* serve({ dangerouslyAcceptAnyOrigin: "true" })
      yield* open({ origin: "http://elsewhere.example" })
    })
  )

  it.scoped("waits as long as they say", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      const connect = yield* serve({ maxLifetime: "5 seconds", closeTimeout: "2 seconds" }, ({ closed }) =>
        Effect.flatMap(closed, (end) => Deferred.succeed(ended, end))
      )
      const wire = yield* Effect.flatMap(connect(), Testing.wireOf)
      yield* Effect.addFinalizer(() => wire.cut)
      yield* settle
      yield* wire.stall
      yield* TestClock.adjust("6999 millis")
      yield* settle
      assert.isFalse(yield* Deferred.isDone(ended))
      yield* TestClock.adjust("1 millis")
      const { closure } = yield* Deferred.await(ended)
      assert.deepStrictEqual([closure.sent?.code, closure.cause?._tag], [1001, "CloseTimeout"])
    })
  )

  const nonsense = [
    ...counts.map((name) => [name, "-1", `${name} is -1`] as const),
    ...durations.slice(2).map((name) => [name, "0 millis", `${name} is 0`] as const),
    ["drain.timeout", "1 second", "drain.timeout is 1000 ms: give more than grace and jitter together"] as const,
    ["subprotocols", "a,a", 'subprotocols is ["a","a"]'] as const,
    ["serverHeader", " ", 'serverHeader is " "'] as const
  ]
  it.scoped.each(nonsense)("dies of nonsense as %s, which it names", ([name, value, sentence]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(serve({ [name]: value }))
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", sentence)
    })
  )
})
