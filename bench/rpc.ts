/**
 * RPC over our sockets beside the platform's, in one process and in turns:
 * 64 callers at a time over one connection, and as many streams.
 *
 * Run it with `npx tsx bench/rpc.ts [seconds] [rounds]`.
 */
import { Socket, SocketServer } from "@effect/platform"
import { NodeSocket, NodeSocketServer } from "@effect/platform-node"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "@effect/rpc"
import { Console, Effect, Layer, Logger, LogLevel, Schema, Stream } from "effect"
import { WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeListener, runMain } from "effect-websockets/node"
import { PlatformSocket, PlatformSocketServer } from "effect-websockets/platform"

const [seconds = 2, rounds = 3] = process.argv.slice(2).map(Number)
const CALLERS = 64

class Procedures extends RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
) {}

const handlers = Procedures.toLayer({
  Echo: ({ text }) => Effect.succeed(text),
  Count: ({ to }) => Stream.range(1, to, 16)
})

type Client = Effect.Effect.Success<ReturnType<typeof connect>>

const connect = () => RpcClient.make(Procedures)

/** What there is of something: so many in a second, and the CPU time of both ends for one of them. */
interface Rate {
  readonly perSecond: number
  readonly microseconds: number
}

/** Has callers count something at the same time, for as long as is asked for. */
const rate = (caller: (count: (n: number) => void) => Effect.Effect<unknown, unknown>): Effect.Effect<Rate> =>
  Effect.gen(function* () {
    let total = 0
    const counting = Effect.orDie(Effect.forever(caller((n) => (total += n))))
    const before = process.cpuUsage()
    yield* Effect.timeoutOption(
      Effect.forEach(Array(CALLERS), () => counting, { concurrency: "unbounded" }),
      seconds * 1_000
    )
    const { user, system } = process.cpuUsage(before)
    return { perSecond: total / seconds, microseconds: (user + system) / total }
  })

const workloads = {
  calls: (client: Client) => rate((count) => Effect.map(client.Echo({ text: "Hello World!" }), () => count(1))),
  "elements of streams": (client: Client) =>
    rate((count) =>
      Stream.runForEachChunk(client.Count({ to: 1_000 }), (chunk) => Effect.sync(() => count(chunk.length)))
    )
}

const serve = <E>(sockets: Layer.Layer<SocketServer.SocketServer, E>) =>
  RpcServer.layer(Procedures).pipe(
    Layer.provide(handlers),
    Layer.provide(RpcServer.layerProtocolSocketServer),
    Layer.provideMerge(sockets)
  )

const ours = {
  server: serve(PlatformSocketServer.layer().pipe(Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1" })))),
  socket: (uri: string) =>
    PlatformSocket.layer(uri).pipe(Layer.provide(WebSocketClient.layer), Layer.provide(NodeConnector.layer))
}

const theirs = {
  server: serve(NodeSocketServer.layerWebSocket({ port: 0, host: "127.0.0.1" })),
  socket: (uri: string) => Socket.layerWebSocket(uri).pipe(Layer.provide(NodeSocket.layerWebSocketConstructor))
}

const measure = (side: typeof ours | typeof theirs, workload: (client: Client) => Effect.Effect<Rate>) =>
  Effect.gen(function* () {
    const { address } = yield* SocketServer.SocketServer
    const port = address._tag === "TcpAddress" ? address.port : 0
    const protocol = RpcClient.layerProtocolSocket().pipe(Layer.provide(side.socket(`ws://127.0.0.1:${port}`)))
    return yield* Effect.flatMap(connect(), workload).pipe(Effect.provide(protocol))
  }).pipe(Effect.scoped, Effect.provide(side.server))

const median = (rates: ReadonlyArray<Rate>, key: keyof Rate): number =>
  rates.map((rate) => rate[key]).sort((a, b) => a - b)[rates.length >> 1] ?? Number.NaN

Effect.gen(function* () {
  for (const [name, workload] of Object.entries(workloads)) {
    const rates: Record<"ours" | "theirs", Array<Rate>> = { ours: [], theirs: [] }
    for (let round = 0; round < rounds; round++) {
      rates.ours.push(yield* measure(ours, workload))
      rates.theirs.push(yield* measure(theirs, workload))
    }
    const of = (key: keyof Rate) => [median(rates.ours, key), median(rates.theirs, key)] as const
    const [calls, theirCalls] = of("perSecond")
    const [cpu, theirCpu] = of("microseconds")
    yield* Console.log(
      `${name}: ours ${Math.round(calls)}/s, the platform's ${Math.round(theirCalls)}/s, ratio ${(calls / theirCalls).toFixed(2)}; ` +
        `CPU time ${cpu.toFixed(1)} and ${theirCpu.toFixed(1)} µs each, ratio ${(theirCpu / cpu).toFixed(2)}`
    )
  }
}).pipe(Effect.provide(RpcSerialization.layerJson), Logger.withMinimumLogLevel(LogLevel.None), runMain)
