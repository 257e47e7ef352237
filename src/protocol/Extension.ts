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

/** What an agreed extension does to the payload of whole messages, on one connection. */
export interface Codec {
  /** The reserved bits that are the extension's: RSV1 (4), RSV2 (2), RSV3 (1). RFC 6455 §5.2. */
  readonly rsv: number
  /** The payload of a message to send, or undefined to leave this one as it is, without the reserved bits. */
  readonly encode: (payload: Uint8Array) => Uint8Array | undefined
  /** The payload of a received message that has the reserved bits; more than `limit` bytes of it are a violation. */
  readonly decode: (payload: Uint8Array, limit: number) => Uint8Array | Violation
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

/** The reserved bits that these codecs own together, or undefined when two want the same one. RFC 6455 §9.1. */
export const reservedBits = (codecs: ReadonlyArray<Codec>): number | undefined => {
  let bits = 0
  for (const codec of codecs) {
    if ((bits & codec.rsv) !== 0) return undefined
    bits |= codec.rsv
  }
  return bits
}

/** Sends a message's payload through the codecs in the order in which they were agreed. */
export const encode = (
  codecs: ReadonlyArray<Codec>,
  payload: Uint8Array
): { readonly payload: Uint8Array; readonly rsv: number } => {
  let current = payload
  let rsv = 0
  for (const codec of codecs) {
    const next = codec.encode(current)
    if (next === undefined) continue
    current = next
    rsv |= codec.rsv
  }
  return { payload: current, rsv }
}

/** Takes a received payload back through those codecs whose bits it has, last first. */
export const decode = (
  codecs: ReadonlyArray<Codec>,
  payload: Uint8Array,
  rsv: number,
  limit: number
): Uint8Array | Violation => {
  let current = payload
  for (let i = codecs.length - 1; i >= 0; i--) {
    const codec = codecs[i]!
    if ((rsv & codec.rsv) !== codec.rsv) continue
    const next = codec.decode(current, limit)
    if (!(next instanceof Uint8Array)) return next
    if (next.length > limit) {
      return violation(CloseCode.MessageTooBig, `a message of ${next.length} bytes exceeds maxMessageSize (${limit})`)
    }
    current = next
  }
  return current
}
