/**
 * Who connects has five seconds to say who it is: the first message is a token.
 * For peers that can send no header, such as pages of another origin.
 *
 * Nothing is spent on a peer before that but its connection. One that sends
 * something else, or nothing in time, is closed with 1008.
 *
 * Run it with `npx tsx examples/first-message.ts`; the token is `secret`.
 */
import { fileURLToPath } from "node:url"
import { Effect, Layer, Option } from "effect"
import { CloseCode, Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export interface Options {
  /** Whose token it is. */
  readonly userOf: (token: string) => Effect.Effect<Option.Option<string>>
}

export const firstMessage = ({ userOf }: Options) =>
  Effect.fn("firstMessage")(function* (connection: Connection.Connection) {
    const token = yield* connection.receiveText.pipe(
      Effect.timeoutOption("5 seconds"),
      Effect.catchTag("UnexpectedMessageType", () => Effect.succeedNone)
    )
    const user = yield* Option.match(token, { onNone: () => Effect.succeedNone, onSome: userOf })
    if (Option.isNone(user)) {
      yield* connection.close({ code: CloseCode.PolicyViolation, reason: "send a valid token first" })
      return
    }
    yield* connection.send(`Hello ${user.value}!`)
    yield* Connection.runForEach(connection, (message) => connection.send(message))
  })

export const firstMessageServer = (options: Options & { readonly port: number }) =>
  WebSocketServer.layer(firstMessage(options)).pipe(
    Layer.provide(NodeListener.layer({ host: "localhost", port: options.port }))
  )

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const userOf = (token: string) => Effect.succeed(token === "secret" ? Option.some("Ada") : Option.none())
  Layer.launch(firstMessageServer({ port: 8765, userOf })).pipe(runMain)
}
