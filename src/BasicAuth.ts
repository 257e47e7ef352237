import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import { type HttpServerResponse, text } from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isValue } from "./protocol/headers.js"
import * as utf8 from "./protocol/utf8.js"

/**
 * Basic authentication as a request hook. Its credentials are as secret as the
 * connection: use it with TLS.
 *
 * @see RFC 7617
 */

/** Who has logged in, for the connection's handler. */
export class Principal extends Context.Tag("effect-websockets/BasicAuth/Principal")<
  Principal,
  { readonly username: string }
>() {}

/** What a peer has sent. */
export interface Credentials {
  readonly username: string
  readonly password: Redacted.Redacted<string>
}

export interface Options<R = never> {
  /** What the credentials are for; browsers show it to the person they ask. */
  readonly realm: string
  /** The password of each username, or a function that looks one up and may answer by failing. */
  readonly passwords:
    | Readonly<Record<string, Redacted.Redacted<string>>>
    | ((username: string) => Effect.Effect<Option.Option<Redacted.Redacted<string>>, HttpServerResponse, R>)
}

/**
 * A hook that lets in who knows a username and its password, as `Principal`;
 * everybody else gets 401 with `WWW-Authenticate`.
 *
 * Digests of equal length are compared, all of their bytes whatever they hold,
 * and for an unknown username too: time tells nothing about either.
 */
export const make = <R = never>({ realm, passwords }: Options<R>) => {
  const fixed = new Map(typeof passwords === "function" ? [] : Object.entries(passwords))
  const lookUp =
    typeof passwords === "function"
      ? passwords
      : (username: string) => Effect.succeed(Option.fromNullable(fixed.get(username)))
  return makeWith({
    realm,
    authenticate: Effect.fnUntraced(function* ({ username, password }: Credentials) {
      const expected = yield* lookUp(username)
      const isSame = yield* sameSecret(
        password,
        Option.getOrElse(expected, () => nobodys)
      )
      return isSame && Option.isSome(expected)
        ? Option.some(Context.make(Principal, { username }))
        : Option.none<Context.Context<Principal>>()
    })
  })
}

export interface OptionsWith<P, R> {
  /** What the credentials are for; browsers show it to the person they ask. */
  readonly realm: string
  /** Says which services the connection of who sent these has, as a principal of your own; or none for nobody. */
  readonly authenticate: (
    credentials: Credentials
  ) => Effect.Effect<Option.Option<Context.Context<P>>, HttpServerResponse, R>
}

/** The same with a check of your own, as for passwords that are kept as hashes. */
export const makeWith = <P, R = never>({ realm, authenticate }: OptionsWith<P, R>) => {
  const refused = challenge(realm)
  return (request: HttpServerRequest): Effect.Effect<Context.Context<P>, HttpServerResponse, R> =>
    Effect.suspend(() => {
      const credentials = parse(request.headers["authorization"] ?? "")
      if (credentials === undefined) return Effect.fail(refused)
      return Effect.flatMap(
        authenticate(credentials),
        Option.match({ onNone: () => Effect.fail(refused), onSome: Effect.succeed })
      )
    })
}

/** The answer to who may not enter. A realm that cannot be said is the programmer's fault and throws. RFC 7617 §2, §2.1. */
const challenge = (realm: string): HttpServerResponse => {
  if (realm === "" || !isValue(realm) || /[^\x20-\x7e]/.test(realm)) {
    throw new RangeError(`realm is ${JSON.stringify(realm)}: give a text in printable ASCII`)
  }
  const quoted = realm.replace(/["\\]/g, "\\$&")
  return text("A username and a password are needed. Send them as Basic credentials.\n", {
    status: 401,
    headers: { "www-authenticate": `Basic realm="${quoted}", charset="UTF-8"` }
  })
}

/** Reads `Authorization`; undefined where it is none of this scheme, or malformed. RFC 7617 §2. */
const parse = (header: string): Credentials | undefined => {
  const token = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(header)?.[1]
  const bytes = token === undefined ? undefined : fromBase64(token)
  const pair = bytes === undefined ? undefined : utf8.decode(bytes, 0, bytes.length)
  const colon = pair?.indexOf(":") ?? -1
  if (pair === undefined || colon < 0 || hasControls(pair)) return undefined
  return { username: pair.slice(0, colon), password: Redacted.make(pair.slice(colon + 1)) }
}

const hasControls = (pair: string): boolean => {
  for (let i = 0; i < pair.length; i++) {
    const unit = pair.charCodeAt(i)
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return true
  }
  return false
}

const fromBase64 = (token: string): Uint8Array | undefined => {
  try {
    return Uint8Array.from(atob(token), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}

/** Compared with where nobody has that name, so that this takes as long. */
const nobodys = Redacted.make("")

const digest = (secret: Redacted.Redacted<string>): Promise<ArrayBuffer> =>
  crypto.subtle.digest("SHA-256", new TextEncoder().encode(Redacted.value(secret)))

/** Whether two secrets are the same, by all bytes of their digests. */
const sameSecret = (one: Redacted.Redacted<string>, other: Redacted.Redacted<string>): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const [a, b] = [new Uint8Array(await digest(one)), new Uint8Array(await digest(other))]
    let difference = 0
    for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
    return difference === 0
  })
