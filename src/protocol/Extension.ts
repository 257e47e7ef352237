import * as CloseCode from "./CloseCode.js"
import { type Violation, violation } from "./Frame.js"
import type { Parameter } from "./headers.js"

/**
 * The seam for extensions: what is said about one in the opening handshake,
 * and what it then does to messages.
 *
 * @see RFC 6455 §9
 */

/** The parameters of one offer or answer, in the order of the header. RFC 6455 §9.1. */
export type Parameters = ReadonlyArray<Parameter>

/** One extension of an offer or an answer, as the header names it. */
export interface Entry {
  readonly name: string
  readonly parameters: Parameters
}

/** A result that is there, or a function that takes who is to be given it later: once, and never while it is called. */
export type Eventual<A> = A | ((done: (result: A) => void) => void)

/** Payloads up to so many bytes are to be encoded at once: a message that needs no waiting then needs none here either. */
export const encodedAtOnce = 32_768

/**
 * What an agreed extension does to the payload of whole messages, on one
 * connection, whose messages it sees one after the other in each direction.
 *
 * A payload is the caller's again when a method returns: what is needed later
 * is copied. A result may lie in memory that is used again for the next one of
 * any connection; one that comes later is the caller's.
 */
export interface Codec {
  /** The reserved bits that are the extension's, at least one: RSV1 (4), RSV2 (2), RSV3 (1). RFC 6455 §5.2. */
  readonly rsv: number
  /**
   * The payload of a message to send, or undefined to leave this one as it is, without the reserved bits.
   *
   * @param compress what the sender wants for this message; without it the extension decides.
   */
  readonly encode: (payload: Uint8Array, compress?: boolean | undefined) => Eventual<Uint8Array> | undefined
  /** The payload of a received message that has the reserved bits; more than `limit` bytes of it are a violation. */
  readonly decode: (payload: Uint8Array, limit: number) => Eventual<Uint8Array | Violation>
  /** How a message that goes to many connections is encoded once for all of them, where that can be done. */
  readonly common?: Common | undefined
  /** The connection is over: frees what is held for it, also while a result is still to come. Must not throw. */
  readonly end?: (() => void) | undefined
}

/** One encoding of a message for several connections that have the same extension, and no other. */
export interface Common {
  /** Those of the same kind can take each other's. */
  readonly kind: unknown
  /** How much is asked of it: what is encoded for the least of them is good for all. */
  readonly demand: number
  /** As `encode`; what comes of it depends on no message before. */
  readonly encode: Codec["encode"]
  /** A message that was encoded so goes out here: what is encoded for this connection alone depends on none before it. */
  readonly restart: () => void
}

export interface Extension {
  /** The registered token. */
  readonly name: string
  /** What a client offers, its first choice first. */
  readonly offers: ReadonlyArray<Parameters>
  /** A server's answer to an offer; undefined declines it. */
  readonly answer: (offer: Parameters) => { readonly parameters: Parameters; readonly codec: Codec } | undefined
  /** A client's reading of the server's answer; undefined says that it does not answer what was offered. */
  readonly accept: (answer: Parameters) => Codec | undefined
}

/** The reserved bits that these codecs own together, or undefined when two want the same one, or one has none. RFC 6455 §9.1. */
export const reservedBits = (codecs: ReadonlyArray<Codec>): number | undefined => {
  let bits = 0
  for (const codec of codecs) {
    if (codec.rsv === 0 || (bits & codec.rsv) !== 0) return undefined
    bits |= codec.rsv
  }
  return bits
}

/** A payload as the codecs made it, and the reserved bits of those that did. */
export interface Encoded {
  readonly payload: Uint8Array
  readonly rsv: number
}

/** Goes on with a result, now or when it is there. */
const settle = <A>(result: Eventual<A>, done: (result: A) => void): void => {
  if (typeof result === "function") (result as (done: (result: A) => void) => void)(done)
  else done(result)
}

/**
 * Sends a message's payload through the codecs in the order in which they were
 * agreed. What comes later is undefined where one of them has thrown.
 */
export const encode = (
  codecs: ReadonlyArray<Codec>,
  payload: Uint8Array,
  compress?: boolean | undefined
): Encoded | ((done: (result: Encoded | undefined) => void) => void) => encodeFrom(codecs, 0, payload, 0, compress)

const encodeFrom = (
  codecs: ReadonlyArray<Codec>,
  from: number,
  unencoded: Uint8Array,
  bits: number,
  compress: boolean | undefined
): Encoded | ((done: (result: Encoded | undefined) => void) => void) => {
  let payload = unencoded
  let rsv = bits
  for (let i = from; i < codecs.length; i++) {
    const codec = codecs[i]!
    const next = codec.encode(payload, compress)
    if (next === undefined) continue
    rsv |= codec.rsv
    if (typeof next === "function") {
      const bits = rsv
      return (done) => next((payload) => encodeRest(codecs, i + 1, { payload, rsv: bits }, compress, done))
    }
    payload = next
  }
  return { payload, rsv }
}

/** Goes on behind a codec that has taken its time, where nobody is there to catch anything. */
const encodeRest = (
  codecs: ReadonlyArray<Codec>,
  from: number,
  { payload, rsv }: Encoded,
  compress: boolean | undefined,
  done: (result: Encoded | undefined) => void
): void => {
  let rest: ReturnType<typeof encodeFrom>
  try {
    rest = encodeFrom(codecs, from, payload, rsv, compress)
  } catch {
    done(undefined)
    return
  }
  if (typeof rest === "function") rest(done)
  // What comes later is the caller's, and what a codec gives at once is the codec's.
  else done(rest.payload === payload ? rest : { payload: Uint8Array.from(rest.payload), rsv: rest.rsv })
}

/** Takes a received payload back through those codecs whose bits it has, last first. */
export const decode = (
  codecs: ReadonlyArray<Codec>,
  payload: Uint8Array,
  rsv: number,
  limit: number
): Eventual<Uint8Array | Violation> => guarded(() => decodeFrom(codecs, codecs.length - 1, payload, rsv, limit))

/** Somebody else's code, in the transport's callback or in one of its own: it ends this connection, not the process. */
const guarded = (run: () => Eventual<Uint8Array | Violation>): Eventual<Uint8Array | Violation> => {
  try {
    return run()
  } catch {
    return violation(CloseCode.InternalError, "an extension could not decode a message")
  }
}

const decodeFrom = (
  codecs: ReadonlyArray<Codec>,
  from: number,
  payload: Uint8Array,
  rsv: number,
  limit: number
): Eventual<Uint8Array | Violation> => {
  let current = payload
  for (let i = from; i >= 0; i--) {
    const codec = codecs[i]!
    if ((rsv & codec.rsv) !== codec.rsv) continue
    const next = codec.decode(current, limit)
    if (typeof next === "function") {
      return (done) =>
        next((result) => {
          const checked = check(result, limit)
          if (checked instanceof Uint8Array) {
            settle(
              guarded(() => decodeFrom(codecs, i - 1, checked, rsv, limit)),
              done
            )
          } else {
            done(checked)
          }
        })
    }
    const checked = check(next, limit)
    if (!(checked instanceof Uint8Array)) return checked
    current = checked
  }
  return current
}

const check = (decoded: Uint8Array | Violation, limit: number): Uint8Array | Violation =>
  decoded instanceof Uint8Array && decoded.length > limit
    ? violation(CloseCode.MessageTooBig, `${decoded.length} bytes exceed maxMessageSize (${limit} bytes)`)
    : decoded
