/**
 * Lets in who has a session: programs send its token as `Authorization:
 * Bearer`, pages have it in a cookie, as a browser's WebSocket sends no other
 * header. A page of another origin never gets here, whatever its cookies.
 *
 * Run it with `npx tsx examples/sessions.ts`; the token is printed.
 */
import { fileURLToPath } from "node:url"
import { type HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Console, Context, Effect, Layer, Option, Redacted } from "effect"
import { type Connection, WebSocketServer } from "effect-websockets"
import { NodeListener, runMain } from "effect-websockets/node"

export class User extends Context.Tag("User")<User, { readonly name: string }>() {}

/** Finds out whose session a token is: in memory here, in a database in earnest. */
export class Sessions extends Context.Tag("Sessions")<
  Sessions,
  { readonly find: (token: Redacted.Redacted<string>) => Effect.Effect<Option.Option<string>> }
>() {}

export const sessionsOf = (names: ReadonlyMap<string, string>) =>
  Layer.succeed(Sessions, { find: (token) => Effect.sync(() => Option.fromNullable(names.get(Redacted.value(token)))) })

const tokenOf = ({ headers, cookies }: HttpServerRequest.HttpServerRequest) =>
  Option.fromNullable(/^Bearer +(\S+)$/i.exec(headers["authorization"] ?? "")?.[1] ?? cookies["session"]).pipe(
    Option.map((token) => Redacted.make(token))
  )

const unknown = HttpServerResponse.text("Log in first.\n", { status: 401, headers: { "www-authenticate": "Bearer" } })

export const authenticate = Effect.fn("authenticate")(function* (request: HttpServerRequest.HttpServerRequest) {
  const { find } = yield* Sessions
  const name = yield* Effect.flatMap(tokenOf(request), find).pipe(
    Effect.flatten,
    Effect.orElseFail(() => unknown)
  )
  return Context.make(User, { name })
})

const greetUser = (connection: Connection.Connection) =>
  Effect.flatMap(User, ({ name }) => connection.send(`Hello ${name}!`))

export const SessionServer = WebSocketServer.layer(greetUser, { onRequest: authenticate })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const token = crypto.randomUUID()
  const services = [
    sessionsOf(new Map([[token, "Ada"]])),
    NodeListener.layer({ host: "localhost", port: 8765 })
  ] as const
  Console.log(`connect to ws://localhost:8765 with the header Authorization: Bearer ${token}`).pipe(
    Effect.zipRight(Layer.launch(SessionServer.pipe(Layer.provide(services)))),
    runMain
  )
}
