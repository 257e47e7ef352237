import * as Cookies from "@effect/platform/Cookies"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import { empty, type HttpServerResponse, isServerResponse } from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Agreement, ResponseHead } from "./protocol/Handshake.js"
import { type HeaderList, isToken, isValue } from "./protocol/headers.js"

/** What a server's hooks make of a request, one after the other, as one effect. */

/** What a request hook may say: go on, go on with these services, or this answer. */
export type Verdict = Context.Context<never> | HttpServerResponse | undefined

/** The hooks as the server runs them, with what they need provided by its layer and the connection's own services. */
export interface Hooks {
  readonly onRequest: ((request: HttpServerRequest) => Effect.Effect<Verdict, HttpServerResponse>) | undefined
  readonly onUpgrade:
    | ((
        response: HttpServerResponse,
        request: HttpServerRequest
      ) => Effect.Effect<HttpServerResponse, HttpServerResponse>)
    | undefined
  readonly connectionKey: ((request: HttpServerRequest) => Effect.Effect<string, HttpServerResponse>) | undefined
}

/** Nothing speaks against the request: what the connection has of its own, and what its 101 says. */
export interface GoOn {
  readonly _tag: "GoOn"
  readonly context: Context.Context<never>
  readonly response: ResponseHead | undefined
  /** Whose connection it is, where a hook says so. */
  readonly key: string | undefined
}

export type Decision = GoOn | HttpServerResponse

/** What the hooks say of a request; `agreement` is there where it asks for a WebSocket and may have one. */
export const decide = (
  { onRequest, onUpgrade, connectionKey }: Hooks,
  request: HttpServerRequest,
  agreement: Agreement | undefined
): Effect.Effect<Decision, HttpServerResponse> =>
  Effect.gen(function* () {
    const verdict = onRequest === undefined ? undefined : yield* onRequest(request)
    if (isServerResponse(verdict)) return verdict
    const context = verdict ?? Context.empty()
    if (agreement === undefined) return { _tag: "GoOn", context, response: undefined, key: undefined }
    const key = connectionKey === undefined ? undefined : yield* Effect.provide(connectionKey(request), context)
    if (onUpgrade === undefined) return { _tag: "GoOn", context, response: agreement.response, key }
    const ours = asResponse(agreement.response)
    const response = yield* Effect.provide(onUpgrade(ours, request), context)
    if (response.status !== ours.status) return response
    return { _tag: "GoOn", context, response: yield* extended(agreement.response, response), key }
  })

const asResponse = ({ status, headers }: ResponseHead): HttpServerResponse => empty({ status, headers })

/** What only the handshake says, and what a response without a body has no use for. RFC 6455 §4.2.2, RFC 9110 §15.2. */
const isReserved = (name: string): boolean =>
  name.startsWith("sec-websocket-") ||
  ["upgrade", "connection", "content-length", "transfer-encoding", "trailer"].includes(name)

/** The 101 with what a hook has added to it; one that touches the handshake, or that HTTP cannot carry, is a bug of the hook. */
const extended = (ours: ResponseHead, response: HttpServerResponse): Effect.Effect<ResponseHead> => {
  const refuse = (problem: string) => Effect.die(new TypeError(`the response of onUpgrade ${problem}`))
  if (response.body._tag !== "Empty") return refuse("has a body, and a 101 has none: give another status or no body")
  const said = new Map(ours.headers.map(([name, value]) => [name.toLowerCase(), value]))
  const added: Array<HeaderList[number]> = []
  for (const [name, value] of Object.entries(response.headers)) {
    if (said.get(name) === value) continue
    if (isReserved(name)) return refuse(`sets ${name}, which is the handshake's: leave it as it is`)
    added.push([name, value])
  }
  for (const cookie of Cookies.toSetCookieHeaders(response.cookies)) added.push(["set-cookie", cookie])
  const broken = added.find(([name, value]) => !isToken(name) || !isValue(value))
  if (broken === undefined) return Effect.succeed({ ...ours, headers: [...ours.headers, ...added] })
  // The value may be a secret.
  return refuse(`has the header ${JSON.stringify(broken[0])}, whose name or value HTTP cannot carry`)
}
