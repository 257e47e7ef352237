import { Cause, Context, Effect, Exit, Layer, Logger, LogLevel, ManagedRuntime, Option, Scope } from "effect"
import { Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { type Doing, numbered, type Opening, Report, type Task, type Testee } from "./Testee.js"

/** This library as a testee. */

const endOf = (closed: ConnectionClosed.ConnectionClosed) => ({
  isClean: ConnectionClosed.isClean(closed),
  code: ConnectionClosed.code(closed),
  sent: closed.closure.sent?.code,
  received: closed.closure.received?.code,
  cause: closed.closure.cause?._tag
})

const act = (does: Doing, report: Report, connection: Connection.Connection) => {
  switch (does._tag) {
    case "Echo": {
      const echo = Connection.runForEach(connection, (message) => {
        report.taken++
        return connection.send(message)
      })
      const { after } = does
      return after === undefined
        ? echo
        : Effect.zipRight(
            Effect.promise(() => after),
            echo
          )
    }
    case "Send":
      return Effect.gen(function* () {
        for (let i = 0; i < does.count; i++) {
          yield* connection.send(numbered(i, does.size))
          report.sent++
        }
        yield* connection.closed
      })
    case "Close": {
      const { code, reason = "" } = does
      const close = connection.close({ code, reason })
      return does.when === "at once" ? close : Effect.zipRight(connection.receive, close)
    }
  }
}

/** Does it, and reports: at first that the connection is there, at last how it ended, also when the program ends before. */
const reported = (task: Task, report: Report) => (connection: Connection.Connection) =>
  Effect.gen(function* () {
    report.opened++
    report.buffered = () => Effect.runSync(connection.bufferedAmount)
    yield* Effect.forkDaemon(Effect.map(connection.closed, (closed) => report.end(endOf(closed))))
    yield* act(task.does ?? { _tag: "Echo" }, report, connection)
  })

const serve = async ({ hookFails, ...task }: Task) => {
  const report = new Report()
  const scope = Effect.runSync(Scope.make())
  const layer = WebSocketServer.layer(reported(task, report), {
    ...task,
    ...(hookFails === true ? { onRequest: () => Effect.die("a fault of the program's") } : {})
  }).pipe(
    Layer.provide(NodeListener.layer({ host: "127.0.0.1", port: 0 })),
    // What goes wrong on purpose shows in verdicts.
    Layer.provide(Logger.minimumLogLevel(LogLevel.None))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const { address } = Context.get(context, WebSocketServer.WebSocketServer)
  if (address._tag !== "TcpAddress") throw new Error("the server does not listen on TCP")
  return { port: address.port, report, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const openingOf = (error: WebSocketClient.ConnectError): Opening => {
  const reason = error._tag === "HandshakeError" ? error.reason : undefined
  return {
    _tag: "Failed",
    error: error._tag,
    reason: reason?._tag,
    header: reason?._tag === "InvalidHeader" ? reason.header : undefined,
    status: reason?._tag === "Rejected" ? reason.response.status : undefined,
    body: reason?._tag === "Rejected" ? reason.body : undefined,
    sentence: error.message
  }
}

const dial = (url: string, task: Task) => {
  const report = new Report()
  const runtime = ManagedRuntime.make(WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer)))
  let open: (opening: Opening) => void = () => {}
  const opening = new Promise<Opening>((resolve) => {
    open = resolve
  })
  const connected = Effect.tap(WebSocketClient.connect(url, task), () => open({ _tag: "Opened" }))
  const program = Effect.scoped(Effect.flatMap(connected, reported(task, report)))
  const over = runtime.runPromiseExit(program).then((exit) => {
    if (Exit.isSuccess(exit)) return
    const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
    if (error === undefined) throw new Error(`the program died: ${Cause.pretty(exit.cause)}`)
    if (error._tag !== "ConnectionClosed" && error._tag !== "ConcurrencyError") open(openingOf(error))
  })
  return { opening, report, stop: () => over.then(() => runtime.dispose()) }
}

export const ours: Testee = { home: { url: import.meta.url, name: "ours" }, serve, dial }
