import { Effect, Layer, Logger, LogLevel, Stream } from "effect"
import { Connection, ConnectionRegistry, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"
import { readCertificate } from "../certificate.js"
import { makeTally } from "../tally.js"
import { ownWorkload } from "../workloads.js"
import { listening } from "./control.js"

/** The code of the README: an Effect handler, every default on. */

const workload = ownWorkload()

type OnMessage<E, R> = (message: Connection.Message) => Effect.Effect<unknown, E, R>

/** The three ways to take messages. */
const forms = {
  runForEach: <E, R>(connection: Connection.Connection, onMessage: OnMessage<E, R>) =>
    Connection.runForEach(connection, onMessage),
  loop: <E, R>({ receive }: Connection.Connection, onMessage: OnMessage<E, R>) =>
    Effect.gen(function* () {
      for (;;) yield* onMessage(yield* receive)
    }),
  stream: <E, R>({ messages }: Connection.Connection, onMessage: OnMessage<E, R>) =>
    Stream.runForEach(messages, onMessage)
} as const

const isForm = (name: string): name is keyof typeof forms => Object.hasOwn(forms, name)
const form = process.argv[3] ?? ""
const each = forms[isForm(form) ? form : "runForEach"]

const handler = (connection: Connection.Connection) => {
  switch (workload.kind) {
    case "broadcast":
      return Effect.flatMap(ConnectionRegistry.ConnectionRegistry, (registry) =>
        each(connection, (message) => registry.broadcast(message))
      )
    case "receive": {
      const tally = makeTally(workload.every)
      return each(connection, (message) => {
        const sum = tally(message.length)
        return sum === undefined ? Effect.void : connection.send(sum)
      })
    }
    default:
      return each(connection, (message) => connection.send(message))
  }
}

const Report = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* WebSocketServer.WebSocketServer
    if (address._tag === "TcpAddress") listening(address.port)
  })
)

const tls = workload.kind === "memory" && workload.tls ? { tls: readCertificate() } : {}

Report.pipe(
  Layer.provide(
    WebSocketServer.layer(handler, {
      compression: "deflate" in workload && workload.deflate === true
    })
  ),
  Layer.provide(NodeListener.layer({ port: 0, host: "127.0.0.1", ...tls })),
  Layer.provide(Logger.minimumLogLevel(LogLevel.Warning)),
  Layer.launch,
  runMain
)
