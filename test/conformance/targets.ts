import type { AddressInfo } from "node:net"
import { Context, Effect, Exit, Layer, Logger, LogLevel, ManagedRuntime, Scope } from "effect"
import { Connection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { WebSocket, WebSocketServer as WsServer } from "ws"
import { ours } from "./blind/oursTestee.js"
import type { Testee } from "./blind/Testee.js"
import { ws } from "./blind/wsTestee.js"

/** Who is tested: peers that echo every message with its type, and do nothing else. */

export type TargetName = "ours" | "ws"

export interface ServerTarget {
  readonly port: number
  readonly stop: () => Promise<void>
}

export interface ClientTarget {
  /** Connects and echoes until the connection is over; settles then, however it ended. */
  readonly connect: (url: string) => Promise<void>
  readonly stop: () => Promise<void>
}

/** The suite's largest message is 16 MiB, its longest 65,537 frames; all else stays as it comes. */
const limits: Connection.ConnectionOptions = { maxMessageSize: 2 ** 25, maxFragments: 2 ** 17 }

/** Every message is compressed, whatever its length. */
const compression = { threshold: 0 }

const optionsOf = (compresses: boolean) => ({ ...limits, compression: compresses && compression })

const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

const oursServer = async (compresses: boolean): Promise<ServerTarget> => {
  const scope = Effect.runSync(Scope.make())
  const layer = WebSocketServer.layer(echo, optionsOf(compresses)).pipe(
    Layer.provide(NodeListener.layer({ host: "127.0.0.1", port: 0 })),
    // A line for each connection would bury the verdicts.
    Layer.provide(Logger.minimumLogLevel(LogLevel.Warning))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const { address } = Context.get(context, WebSocketServer.WebSocketServer)
  if (address._tag !== "TcpAddress") throw new Error("the server does not listen on TCP")
  return { port: address.port, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const oursClient = (compresses: boolean): ClientTarget => {
  const runtime = ManagedRuntime.make(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)))
  const run = (url: string) => Effect.scoped(Effect.flatMap(WebSocketClient.connect(url, optionsOf(compresses)), echo))
  return {
    connect: async (url) => void (await runtime.runPromiseExit(run(url))),
    stop: () => runtime.dispose()
  }
}

/** Its limits as far away as ours. */
const wsOptions = (compresses: boolean) => ({
  maxPayload: 0,
  maxFragments: 0,
  maxBufferedChunks: 0,
  perMessageDeflate: compresses && { threshold: 0 }
})

const wsEcho = (socket: WebSocket): void => {
  socket.on("error", () => {})
  socket.on("message", (data, binary) => socket.send(data, { binary }))
}

const wsServer = async (compresses: boolean): Promise<ServerTarget> => {
  const server = new WsServer({ host: "127.0.0.1", port: 0, ...wsOptions(compresses) })
  server.on("connection", wsEcho)
  await new Promise<void>((resolve) => server.on("listening", resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      for (const client of server.clients) client.terminate()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

const wsClient = (compresses: boolean): ClientTarget => ({
  connect: (url) =>
    new Promise((resolve) => {
      const socket = new WebSocket(url, wsOptions(compresses))
      wsEcho(socket)
      socket.on("close", () => resolve())
    }),
  stop: async () => {}
})

/** @param compresses with permessage-deflate, for messages of any size. */
export const startServer = (name: TargetName, compresses = false): Promise<ServerTarget> =>
  name === "ours" ? oursServer(compresses) : wsServer(compresses)

export const startClient = (name: TargetName, compresses = false): ClientTarget =>
  name === "ours" ? oursClient(compresses) : wsClient(compresses)

/** Who plays the scenarios of the blind spots. */
export const testees: Partial<Record<TargetName, Testee>> = { ours, ws }
