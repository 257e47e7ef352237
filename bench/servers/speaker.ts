import { Effect, Layer, Logger, LogLevel, Schedule } from "effect"
import { ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import type { FromSpeaker, ToSpeaker } from "../soakMessages.js"

/** Broadcasts when it is told to, under the policy that it is started with. */

const report = (message: FromSpeaker): void => {
  process.send?.(message)
}

const policies: ReadonlyArray<ConnectionRegistry.SlowPeerPolicy> = ["close", "suspend", "dropNewest", "dropOldest"]
const slowPeers = policies.find((name) => name === process.argv[2]) ?? "close"

const talk = ({ count, perSecond, bytes }: ToSpeaker) =>
  Effect.gen(function* () {
    const registry = yield* ConnectionRegistry.ConnectionRegistry
    const start = performance.now()
    const before = process.memoryUsage().rss
    let peak = before
    let missed = 0
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 100)
    const one = Effect.map(registry.broadcast("x".repeat(bytes), { slowPeers }), (sent) => {
      missed += sent.missed.length
    })
    if (perSecond === undefined) yield* Effect.replicateEffect(one, count, { discard: true })
    else yield* Effect.repeat(one, Schedule.intersect(Schedule.fixed(1000 / perSecond), Schedule.recurs(count - 1)))
    yield* Effect.sleep("1 seconds")
    clearInterval(watch)
    report({ _tag: "Said", before, peak, missed, seconds: (performance.now() - start) / 1000 - 1 })
  })

const Speaker = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { address } = yield* WebSocketServer.WebSocketServer
    const runtime = yield* Effect.runtime<ConnectionRegistry.ConnectionRegistry>()
    process.on("message", (message: ToSpeaker) => void Effect.runFork(Effect.provide(talk(message), runtime)))
    process.on("disconnect", () => process.exit())
    if (address._tag === "TcpAddress") report({ _tag: "Listening", port: address.port })
  })
)

// Whoever only listens is not to be taken for dead: the readers answer no pings.
const server = WebSocketServer.layer(({ closed }) => closed, { pingInterval: "1 hours" })

Speaker.pipe(
  Layer.provide(server),
  Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1" })),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Warning)),
  Layer.launch,
  runMain
)
