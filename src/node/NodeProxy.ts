import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { ProxyError } from "../ProxyError.js"
import { checkCredentials, decode, withoutSecrets } from "../protocol/uri.js"
import type { Destination } from "../Transport.js"
import type { ClientTls } from "./dial.js"
import { isExcepted, isLoopback } from "./exceptions.js"

/** Which proxies there are: HTTP's CONNECT, over TLS too, and SOCKS, where the letter after the number lets the proxy look up names. */
export type Kind = "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h"

/** A proxy, as `make` reads it from its URI. */
export interface ProxyServer {
  readonly kind: Kind
  /** An IPv6 address keeps its brackets. */
  readonly hostname: string
  readonly port: number
  readonly credentials: { readonly username: string; readonly password: Redacted.Redacted<string> } | undefined
  readonly tls: ClientTls | undefined
}

export interface ProxyOptions {
  /** For `https` proxies: whom to trust, and whatever else `tls.connect` takes. What the server is told is the connector's. */
  readonly tls?: ClientTls | undefined
}

export interface LayerOptions extends ProxyOptions {
  /**
   * Hosts that are reached without the proxy, as `no_proxy` has them: `example.com` with all below it, addresses,
   * networks like `10.0.0.0/8`, each with `:port` for that port only, `*` for all. None unless told otherwise.
   */
  readonly except?: ReadonlyArray<string> | undefined
}

/** The ports of proxies whose URI has none. */
export const defaultPorts: Readonly<Record<Kind, number>> = {
  http: 80,
  https: 443,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
  socks5h: 1080
}

/**
 * Which proxy leads to which server: none, unless a layer says otherwise. Read
 * once, when the connector's layer is built; replace it below that layer, with
 * `Layer.provide`. A connector that is told where to connect asks for none.
 */
export class Proxy extends Context.Reference<Proxy>()("effect-websockets/node/Proxy", {
  defaultValue: (): Service => ({ select: () => Effect.succeedNone })
}) {}

export interface Service {
  readonly select: (destination: Destination) => Effect.Effect<Option.Option<ProxyServer>, ProxyError>
}

const isKind = (scheme: string): scheme is Kind => Object.hasOwn(defaultPorts, scheme)

const parse = (text: string, options: ProxyOptions): ProxyServer | string => {
  let url: URL
  let hostname: string
  try {
    // Without a scheme it is an HTTP proxy, as everywhere.
    url = new URL(text.includes("://") ? text : `http://${text}`)
    // SOCKS has no scheme whose host URL would read as a host.
    hostname = new URL(`http://${url.host}`).hostname
  } catch {
    return "it is no URI of a host"
  }
  const kind = url.protocol.slice(0, -1)
  if (!isKind(kind)) return `its scheme ${kind} is none of a proxy`
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") return "it has more than host and port"
  const username = decode(url.username)
  const password = decode(url.password)
  if (username === undefined || password === undefined) return "its user information is not percent-encoded UTF-8"
  const isNamed = username !== "" || password !== ""
  const problem = isNamed ? checkProxyCredentials(kind, username, password) : undefined
  if (problem !== undefined) return `its user information ${problem}`
  return {
    kind,
    hostname,
    port: url.port === "" ? defaultPorts[kind] : Number(url.port),
    credentials: isNamed ? { username, password: Redacted.make(password) } : undefined,
    tls: kind === "https" ? (options.tls ?? {}) : undefined
  }
}

const checkProxyCredentials = (kind: Kind, username: string, password: string): string | undefined => {
  if (kind.startsWith("http")) return checkCredentials({ username, password })
  if (kind.startsWith("socks4") && password !== "") return "has a password, which SOCKS4 knows nothing of"
  // RFC 1929 §2: their lengths are one byte each. SOCKS4 ends a name with a NUL.
  if (Buffer.byteLength(username) > 255 || Buffer.byteLength(password) > 255) return "has more than 255 bytes"
  return username.includes("\0") ? "has a NUL" : undefined
}

/** A proxy by its URI: `http://user:password@host:port`, or `https`, `socks4`, `socks4a`, `socks5`, `socks5h` instead. */
export const make = (
  uri: string | URL | Redacted.Redacted<string>,
  options: ProxyOptions = {}
): Effect.Effect<ProxyServer, ProxyError> =>
  Effect.suspend(() => {
    const text = String(Redacted.isRedacted(uri) ? Redacted.value(uri) : uri)
    const parsed = parse(text, options)
    if (typeof parsed !== "string") return Effect.succeed(parsed)
    return new ProxyError({ proxy: withoutSecrets(text), reason: { _tag: "InvalidProxy", problem: parsed } })
  })

/**
 * One proxy for all servers.
 *
 * HTTP proxies are asked with CONNECT, and Basic authentication where the URI
 * has a user. For SOCKS proxies the package `socks` has to be installed; such
 * a proxy has two minutes to answer, even where `openTimeout` is longer.
 *
 * Fails with `ProxyError` where the URI is none of a proxy.
 */
export const layer = (
  uri: string | URL | Redacted.Redacted<string>,
  options: LayerOptions = {}
): Layer.Layer<never, ProxyError> =>
  Layer.effect(
    Proxy,
    Effect.map(make(uri, options), (proxy) => ({
      select: ({ hostname, port }: Destination) =>
        Effect.succeed(isExcepted(options.except ?? [], hostname, port) ? Option.none() : Option.some(proxy))
    }))
  )

/** No proxy, also where a layer below says otherwise. */
export const layerNone: Layer.Layer<never> = Layer.succeed(Proxy, { select: () => Effect.succeedNone })

/**
 * The variables that count, the first that is set. RFC 6455 §4.1 prefers the
 * proxy of HTTPS for both, as that one has to know CONNECT.
 */
const variables = {
  wss: ["wss_proxy", "https_proxy", "all_proxy"],
  ws: ["ws_proxy", "https_proxy", "http_proxy", "all_proxy"]
} as const

/** A variable in lower case, or else in upper case; one that is empty counts as set. */
const variable = (name: string): Config.Config<Option.Option<string>> => {
  const upper = Config.option(Config.string(name.toUpperCase()))
  // A CGI program gets the header Proxy of any request as HTTP_PROXY.
  const trusted =
    name === "http_proxy"
      ? Config.map(Config.all([upper, Config.option(Config.string("REQUEST_METHOD"))]), ([value, cgi]) =>
          Option.isSome(cgi) ? Option.none() : value
        )
      : upper
  return Config.map(Config.all([Config.option(Config.string(name)), trusted]), ([lower, upper]) =>
    Option.orElse(lower, () => upper)
  )
}

const proxyOf = Effect.fnUntraced(function* (names: ReadonlyArray<string>, options: ProxyOptions) {
  for (const name of names) {
    const value = yield* variable(name)
    if (Option.isNone(value)) continue
    return value.value.trim() === "" ? Option.none() : Option.some(yield* make(value.value.trim(), options))
  }
  return Option.none<ProxyServer>()
})

/**
 * The proxies that the environment names, for who asks for them: `wss_proxy`,
 * `https_proxy`, `all_proxy` for `wss`, and `ws_proxy`, `https_proxy`,
 * `http_proxy`, `all_proxy` for `ws`, except the hosts of `no_proxy`. Names in
 * lower case win over those in upper case. This machine itself is never
 * reached through a proxy.
 *
 * Reads through `ConfigProvider` when the layer is built. Fails with
 * `ProxyError` where a value is no URI of a proxy.
 */
export const layerEnvironmentWith = (options: ProxyOptions): Layer.Layer<never, ProxyError | ConfigError> =>
  Layer.effect(
    Proxy,
    Effect.gen(function* () {
      const wss = yield* proxyOf(variables.wss, options)
      const ws = yield* proxyOf(variables.ws, options)
      const except = Option.getOrElse(yield* variable("no_proxy"), () => "").split(/[\s,]+/)
      return {
        select: ({ secure, hostname, port }: Destination) =>
          Effect.sync(() =>
            isLoopback(hostname) || isExcepted(except, hostname, port) ? Option.none() : secure ? wss : ws
          )
      }
    })
  )

export const layerEnvironment: Layer.Layer<never, ProxyError | ConfigError> = layerEnvironmentWith({})
