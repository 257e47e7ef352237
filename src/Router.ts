import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import { empty, type HttpServerResponse, isServerResponse, text } from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as FindMyWay from "find-my-way-ts"
import type { Connection } from "./Connection.js"
import type { ConnectionRegistry } from "./ConnectionRegistry.js"
import type { ListenError } from "./ListenError.js"
import { listIncludes } from "./protocol/headers.js"
import type { Listener } from "./Transport.js"
import {
  type Needed,
  type ServerOptions,
  type Stopping,
  layer as serverLayer,
  type Verdict,
  type WebSocketServer
} from "./WebSocketServer.js"

/** Several handlers behind one server, chosen by the path, and plain HTTP routes beside them. */

/**
 * Segments may be parameters, `/chat/:room`, with a pattern, `/:id(^\\d+$)`, whose groups capture nothing,
 * `/:kind(^(?:a|b)$)`, optional at the end, `/:id?`; `*` is all that is left.
 */
export type Path = FindMyWay.PathInput

type Name<Text extends string> = Text extends `${infer Head}${"/" | "-" | "." | "(" | "?"}${string}` ? Name<Head> : Text

type Names<Text extends string> = Text extends `${string}:${infer Rest}`
  ? Rest extends `:${infer More}`
    ? Names<More>
    : Name<Rest> | Names<Rest>
  : Text extends `${string}*`
    ? "*"
    : never

/** The names of a path's parameters. */
export type ParamNames<P extends Path> = Path extends P ? string : Names<P>

/** A path's parameters as they stand there, percent-decoded. */
export type Params<P extends Path> = {
  readonly [Name in ParamNames<P>]: P extends `${string}?` ? string | undefined : string
}

type Encoded<P extends Path, I> = {
  readonly [Name in keyof I]: Name extends ParamNames<P> ? string | undefined : never
}

/** What a route does besides its handler. */
export interface RouteOptions<A, I, RA, P, R> {
  /** What the path's parameters are; where they do not decode the answer is 400. Texts as they stand there unless told otherwise. */
  readonly params?: Schema.Schema<A, I, RA> | undefined
  /** Sees the requests for this route; as a server's `onRequest`, with the parameters. */
  readonly onRequest?:
    | ((request: HttpServerRequest, params: NoInfer<A>) => Effect.Effect<Verdict<P>, HttpServerResponse, R>)
    | undefined
}

/** What becomes of a request: go on with these services, or an answer. */
type Outcome = Context.Context<never> | HttpServerResponse

/** One path and what is done there; R is what that needs. */
export interface Route<out R = never> {
  readonly methods: ReadonlyArray<string>
  readonly path: Path
  readonly run: (request: HttpServerRequest, params: Raw) => Effect.Effect<Outcome, HttpServerResponse, R>
}

/** Routes that are served together. */
export interface Router<out R = never> {
  readonly routes: ReadonlyArray<Route<R>>
}

/** What the server gives to whatever runs for a request. */
type Given = Scope.Scope | ConnectionRegistry | Stopping

/** In place of a method: no request has it, as it is no token. */
const WEBSOCKET = "(websocket)"

/** The handler of the route by which a connection has come. */
class Chosen extends Context.Tag("effect-websockets/Router/Chosen")<
  Chosen,
  (connection: Connection) => Effect.Effect<unknown, unknown>
>() {}

/**
 * A path where WebSockets are opened, and their handler, which gets the path's
 * parameters beside the connection and is otherwise as that of
 * `WebSocketServer.layer`.
 */
export const websocket: {
  <const P extends Path, A, E, R>(
    path: P,
    handler: (connection: Connection, params: Params<P>) => Effect.Effect<A, E, R>
  ): Route<Exclude<R, Given>>
  <const P extends Path, A, E, R, I extends Encoded<P, I>, B = Params<P>, RB = never, S = never, R2 = never>(
    path: P,
    options: RouteOptions<B, I, RB, S, R2>,
    handler: (connection: Connection, params: NoInfer<B>) => Effect.Effect<A, E, R>
  ): Route<Exclude<R, Given | S> | Exclude<RB | R2, Given>>
} = (path: Path, ...rest: ReadonlyArray<unknown>): Route => {
  const { handler, ...options } = partsOf<Connection, unknown, unknown>(rest)
  return route([WEBSOCKET], path, options, (_, params, context) =>
    Effect.succeed(Context.add(context, Chosen, (connection) => handler(connection, params)))
  )
}

interface HttpRoute {
  <const P extends Path, R>(
    path: P,
    handler: (request: HttpServerRequest, params: Params<P>) => Effect.Effect<HttpServerResponse, HttpServerResponse, R>
  ): Route<Exclude<R, Given>>
  <const P extends Path, R, I extends Encoded<P, I>, B = Params<P>, RB = never, S = never, R2 = never>(
    path: P,
    options: RouteOptions<B, I, RB, S, R2>,
    handler: (
      request: HttpServerRequest,
      params: NoInfer<B>
    ) => Effect.Effect<HttpServerResponse, HttpServerResponse, R>
  ): Route<Exclude<R, Given | S> | Exclude<RB | R2, Given>>
}

/** A path that answers plain requests of some method. A request's body is not handed over. */
export const http =
  (method: string): HttpRoute =>
  (path: Path, ...rest: ReadonlyArray<unknown>): Route => {
    const { handler, ...options } = partsOf<HttpServerRequest, HttpServerResponse, HttpServerResponse>(rest)
    return route([method], path, options, (request, params, context) =>
      Effect.provide(handler(request, params), context)
    )
  }

/** A path that answers plain GET requests, and HEAD with the head of the same answer. */
export const get: HttpRoute = http("GET")

/**
 * A path that has moved, for plain requests and WebSockets alike: 307 unless
 * told otherwise. A function for `to` gets the parameters percent-encoded, `*`
 * segment by segment, as they may stand in the new location's path: what a peer
 * asks for cannot lead to another host, unless `to` says so. RFC 9110 §15.4.
 */
export const redirect = <const P extends Path>(
  path: P,
  to: string | ((params: Params<P>) => string),
  options: { readonly status?: 301 | 302 | 303 | 307 | 308 | undefined } = {}
): Route => ({
  methods: ["GET", WEBSOCKET],
  path,
  run: (_, params) =>
    Effect.sync(() =>
      empty({
        status: options.status ?? 307,
        // The matcher gives what the path names, as the type says.
        headers: { location: typeof to === "string" ? to : locationOf(to as (params: Raw) => string, params) }
      })
    )
})

type Raw = Readonly<Record<string, string | undefined>>

const locationOf = (to: (params: Raw) => string, params: Raw): string => {
  const location = to(
    Record.map(params, (value, name) => value && (name === "*" ? encodeRest : encodeURIComponent)(value))
  )
  // Where a parameter is empty, the slashes around it would begin another host's name.
  return Object.values(params).includes("") ? location.replace(/^\/{2,}/, "/") : location
}

/** All that is left of a path: a slash is one still, but for those at its front, where another would make them a host. */
const encodeRest = (rest: string): string => {
  const path = rest.replace(/^\/+/, "")
  return "%2F".repeat(rest.length - path.length) + path.split("/").map(encodeURIComponent).join("/")
}

/** Routes of one server; what they need is what any of them needs. A path stands there once for each method. */
export const make = <Needs extends ReadonlyArray<unknown>>(
  ...routes: { readonly [Index in keyof Needs]: Route<Needs[Index]> }
): Router<Needs[number]> => ({ routes })

/** What a route was told; its handler gets what the parameters decode to, as the type of the constructor says. */
interface Parts<Input, A, E> {
  readonly params?: Schema.Schema<unknown> | undefined
  readonly onRequest?:
    | ((request: HttpServerRequest, params: unknown) => Effect.Effect<Outcome | undefined, HttpServerResponse>)
    | undefined
  readonly handler: (input: Input, params: unknown) => Effect.Effect<A, E>
}

const partsOf = <Input, A, E>(rest: ReadonlyArray<unknown>): Parts<Input, A, E> => {
  const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
  return { ...(options as object), handler } as Parts<Input, A, E>
}

const route = (
  methods: ReadonlyArray<string>,
  path: Path,
  { params, onRequest }: Omit<Parts<never, unknown, unknown>, "handler">,
  end: (
    request: HttpServerRequest,
    params: unknown,
    context: Context.Context<never>
  ) => Effect.Effect<Outcome, HttpServerResponse>
): Route => ({
  methods,
  path,
  run: (request, raw) =>
    Effect.gen(function* () {
      const decoded = params === undefined ? raw : yield* decode(params, raw)
      const verdict = onRequest === undefined ? undefined : yield* onRequest(request, decoded)
      return isServerResponse(verdict) ? verdict : yield* end(request, decoded, verdict ?? Context.empty())
    })
})

const decode = (schema: Schema.Schema<unknown>, raw: unknown): Effect.Effect<unknown, HttpServerResponse> =>
  Effect.mapError(Schema.decodeUnknown(schema)(raw), (error) => {
    // Names alone, which the route itself has: what else a schema says is not for the peer.
    const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
    const names = issues.map(({ path: [name] }) => (name === undefined ? "its parameters together" : String(name)))
    return text(`Not valid in this path: ${[...new Set(names)].join(", ")}. Check the URL.\n`, { status: 400 })
  })

/** How paths are matched. */
export interface RouterSettings {
  /** Whether `/Chat` is another path than `/chat`: false. */
  readonly caseSensitive?: boolean | undefined
  /** Whether `/chat/` is the same as `/chat`: true. */
  readonly ignoreTrailingSlash?: boolean | undefined
  /** Whether `//chat` is the same as `/chat`: true. */
  readonly ignoreDuplicateSlashes?: boolean | undefined
  /** Characters of a parameter; a path with a longer one is not found: 100. */
  readonly maxParamLength?: number | undefined
}

export const defaults = {
  caseSensitive: false,
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  maxParamLength: 100
} as const

/**
 * A server that chooses the handler by the path.
 *
 * Unless the settings say otherwise letters match in either case, and a
 * slash at the end or a second one in a row makes no other path.
 *
 * A path that no route has is answered with 404, one that has other methods
 * with 405 and `Allow`, a plain request for a WebSocket with 426. An
 * `onRequest` of the server's runs before any route and gives services to all
 * of them.
 */
export const layer = <R, P = never, R2 = never, R3 = never>(
  router: Router<R>,
  options: RouterSettings & ServerOptions<P, R2, R3> = {}
): Layer.Layer<WebSocketServer | ConnectionRegistry, ListenError, Listener | Needed<R, P, R2, R3>> => {
  const { caseSensitive, ignoreTrailingSlash, ignoreDuplicateSlashes, maxParamLength, ...rest } = options
  return Layer.suspend(() => {
    const find = finder(router, {
      caseSensitive: caseSensitive ?? defaults.caseSensitive,
      ignoreTrailingSlash: ignoreTrailingSlash ?? defaults.ignoreTrailingSlash,
      ignoreDuplicateSlashes: ignoreDuplicateSlashes ?? defaults.ignoreDuplicateSlashes,
      maxParamLength: maxParamLength ?? defaults.maxParamLength
    })
    const onRequest = (request: HttpServerRequest) =>
      Effect.gen(function* () {
        const verdict = yield* options.onRequest?.(request) ?? Effect.void
        if (isServerResponse(verdict)) return verdict
        const own = (verdict ?? Context.empty()) as Context.Context<P>
        const outcome = yield* Effect.provide(find(request), own)
        return isServerResponse(outcome) ? outcome : Context.merge(own, outcome)
      })
    const handler = (connection: Connection) => Effect.flatMap(Chosen, (run) => run(connection))
    // What routes and hooks need is in the layer's context or the connection's, as the type of `layer` says.
    return serverLayer(handler, { ...rest, onRequest } as ServerOptions<Chosen>)
  })
}

const nothing = text("There is nothing at this path.\n", { status: 404 })
const noWebSocket = text("There is no WebSocket at this path.\n", { status: 404 })

const notAllowed = (method: string, allowed: ReadonlyArray<string>): HttpServerResponse =>
  text(`This path is not for ${method}, but for ${allowed.join(", ")}.\n`, {
    status: 405,
    headers: { allow: allowed.join(", ") }
  })

/** Whether there is a capturing group in a parameter's pattern. */
const capturesWithin = (path: string): boolean => {
  const groups = path
    .replace(/\\./g, "")
    .replace(/\[[^\]]*\]/g, "")
    .matchAll(/\)|\((?:\?(?:[:=!]|<[=!]))?/g)
  let depth = 0
  for (const [group] of groups) {
    if (group === "(" && depth > 0) return true
    depth += group === ")" ? -1 : 1
  }
  return false
}

/** What the route of a request says of it, or that there is none. */
const finder = <R>({ routes }: Router<R>, settings: FindMyWay.RouterConfig) => {
  const table = FindMyWay.make<Route<R>>(settings)
  for (const route of routes) {
    if (capturesWithin(route.path)) {
      throw new RangeError(
        `the path ${route.path} has a group in a parameter's pattern that captures, as if it were another parameter: write (?:…)`
      )
    }
    table.on(route.methods, route.path, route)
  }
  const methods = [...new Set(routes.flatMap((route) => route.methods))]
  // Only what some route has: the table finds other names in its prototype.
  const find = (method: string, url: string) => (methods.includes(method) ? table.find(method, url) : undefined)
  return (request: HttpServerRequest): Effect.Effect<Outcome, HttpServerResponse, R> => {
    const { method, url } = request
    const isUpgrade = listIncludes([request.headers["upgrade"] ?? ""], "websocket")
    const found = isUpgrade
      ? find(WEBSOCKET, url)
      : (find(method, url) ?? (method === "HEAD" ? find("GET", url) : undefined))
    if (found !== undefined) return found.handler.run(request, found.params)
    const others = methods.filter((other) => find(other, url) !== undefined)
    if (others.length === 0) return Effect.succeed(nothing)
    if (isUpgrade) return Effect.succeed(noWebSocket)
    // The server itself says what a WebSocket needs.
    if (others.includes(WEBSOCKET) && method === "GET") return Effect.succeed(Context.empty())
    const allowed = others.flatMap((other) =>
      other === WEBSOCKET ? ["GET"] : other === "GET" ? ["GET", "HEAD"] : [other]
    )
    return Effect.succeed(notAllowed(method, [...new Set(allowed)]))
  }
}
