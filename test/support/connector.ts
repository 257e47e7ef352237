import { Effect, Layer, type Scope } from "effect"
import { type ProxyError, Transport, type TransportError, WebSocketClient } from "effect-websockets"

/** Clients whose connector notes what it is asked, and answers as told. */

type Failure = TransportError | ProxyError

export type Asked = readonly [destination: Transport.Destination, request: Transport.RequestHead]

export const asking = (
  answer: (...asked: Asked) => Effect.Effect<Transport.Reply, Failure, Scope.Scope>
): Effect.Effect<
  {
    /** What was asked so far. */
    readonly asked: ReadonlyArray<Asked>
    readonly connect: (
      uri: string,
      options?: WebSocketClient.ConnectOptions
    ) => ReturnType<(typeof WebSocketClient.WebSocketClient)["Service"]["connect"]>
  },
  never,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const asked: Array<Asked> = []
    const connector = Layer.succeed(Transport.Connector, {
      exchange: (destination, request) =>
        Effect.suspend(() => {
          asked.push([destination, request])
          return answer(destination, request)
        })
    })
    const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, connector))
    return { asked, connect: (uri, options) => Effect.provide(WebSocketClient.connect(uri, options), client) }
  })

export const answered = (status: number, headers: Transport.HeaderList, body = "") =>
  Effect.succeed<Transport.Reply>({
    _tag: "Answered",
    response: { status, headers },
    body: new TextEncoder().encode(body)
  })

/** Where a request went, as a URI. */
export const uriOf = ([{ secure, hostname, port }, { target }]: Asked): string =>
  `${secure ? "wss" : "ws"}://${hostname}:${port}${target}`
