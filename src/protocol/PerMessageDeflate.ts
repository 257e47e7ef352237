import * as CloseCode from "./CloseCode.js"
import type { Codec, Eventual, Extension, Parameters } from "./Extension.js"
import { type Role, type Violation, violation } from "./Frame.js"
import type { Parameter } from "./headers.js"

/**
 * permessage-deflate: what is said about it in the opening handshake, and when
 * a message is compressed. Compression itself is a service from outside.
 *
 * @see RFC 7692 §7
 */

/** How messages are compressed. The names of the parameters are RFC 7692's. */
export interface Options {
  /** Messages of fewer bytes are sent as they are: 1,024. */
  readonly threshold?: number | undefined
  /** How hard to try, 0 to 9: 6. */
  readonly level?: number | undefined
  /** How much memory a compressor takes beside its window, 1 (1 kB) to 9 (256 kB): 8. */
  readonly memLevel?: number | undefined
  /** The server forgets each message when the next comes: worse compression, and no compressor for each connection. Not so. RFC 7692 §7.1.1.1. */
  readonly serverNoContextTakeover?: boolean | undefined
  /** The same for the client. RFC 7692 §7.1.1.2. */
  readonly clientNoContextTakeover?: boolean | undefined
  /** How far the server may refer back, as a power of two, 8 (256 bytes) to 15 (32 KiB): 15. RFC 7692 §7.1.2.1. */
  readonly serverMaxWindowBits?: number | undefined
  /** The same for the client; a server declines a client that cannot be told. 15. RFC 7692 §7.1.2.2. */
  readonly clientMaxWindowBits?: number | undefined
}

export const defaults = {
  threshold: 1_024,
  level: 6,
  memLevel: 8,
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15
} as const

/** Raw deflate data of one direction of a connection. RFC 1951. */
export interface Deflater {
  /** A message's data up to where a flush leaves 00 00 ff ff, without these. RFC 7692 §7.2.1. */
  readonly deflate: (payload: Uint8Array) => Eventual<Uint8Array>
  /** Forgets the messages before. */
  readonly reset: () => void
  readonly end: () => void
}

/** What a message cannot be inflated for: its data are no deflate data, or are not all there; or they are more than the limit. */
export type Fault = "malformed" | "too large"

export interface Inflater {
  /** A message from its data, to which 00 00 ff ff belong; it stops behind the limit. RFC 7692 §7.2.2. */
  readonly inflate: (data: Uint8Array, limit: number) => Eventual<Uint8Array | Fault>
  readonly end: () => void
}

export interface DeflaterOptions {
  readonly windowBits: number
  readonly level: number
  readonly memLevel: number
  /** Each message may refer to those before it. */
  readonly keepsContext: boolean
}

export type InflaterOptions = Pick<DeflaterOptions, "windowBits" | "keepsContext">

/**
 * Where compressors come from. They answer at once for payloads up to
 * `encodedAtOnce` bytes and may take their time above, under the terms of a
 * `Codec`. What they fit in memory is made when it is first needed.
 */
export interface Service {
  readonly deflater: (options: DeflaterOptions) => Deflater
  readonly inflater: (options: InflaterOptions) => Inflater
}

export const token = "permessage-deflate"

/** RSV1 says that a message is compressed. RFC 7692 §6. */
const RSV1 = 4

/** What both ends have agreed on. */
interface Agreed {
  readonly serverNoContextTakeover: boolean
  readonly clientNoContextTakeover: boolean
  readonly serverMaxWindowBits: number
  readonly clientMaxWindowBits: number
}

/** The parameters of an offer or an answer; `true` stands for one without a value. */
interface Given {
  readonly server_no_context_takeover?: true
  readonly client_no_context_takeover?: true
  readonly server_max_window_bits?: number
  readonly client_max_window_bits?: number | true
}

const names: ReadonlySet<string> = new Set<keyof Given>([
  "server_no_context_takeover",
  "client_no_context_takeover",
  "server_max_window_bits",
  "client_max_window_bits"
])

/** §7.1.2: a decimal number from 8 to 15, without a leading zero. */
const windowBitsOf = (value: string): number | undefined =>
  /^(?:[89]|1[0-5])$/.test(value) ? Number(value) : undefined

/** The value of a parameter, undefined where it cannot have this one. */
const valueOf = ({ name, value }: Parameter): number | true | undefined => {
  if (name.endsWith("_takeover")) return value === undefined ? true : undefined
  if (value !== undefined) return windowBitsOf(value)
  // §7.1.2.2: only the client's, and only in an offer, may stand alone.
  return name === "client_max_window_bits" ? true : undefined
}

/** Reads parameters; undefined where one is unknown, is there twice, or has a value that it cannot have. §7.1. */
const read = (parameters: Parameters): Given | undefined => {
  const given = new Map<string, number | true>()
  for (const parameter of parameters) {
    const value = valueOf(parameter)
    if (!names.has(parameter.name) || given.has(parameter.name) || value === undefined) return undefined
    given.set(parameter.name, value)
  }
  // Of the names above, each with a value of its type.
  return Object.fromEntries(given) as Given
}

const write = (given: Given): Parameters =>
  Object.entries(given).map(([name, value]: [string, number | true]) => ({
    name,
    value: value === true ? undefined : String(value)
  }))

type Settings = { readonly [Name in keyof Options]-?: NonNullable<Options[Name]> }

const wholeNumber = (name: keyof Options, value: number, least: number, most: number): number => {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name} of compression is ${value}: give a whole number from ${least} to ${most}`)
}

const resolve = (options: Options): Settings => {
  const number = (
    name: "level" | "memLevel" | "serverMaxWindowBits" | "clientMaxWindowBits",
    least: number,
    most: number
  ) => wholeNumber(name, options[name] ?? defaults[name], least, most)
  const threshold = options.threshold ?? defaults.threshold
  if (!(threshold >= 0)) throw new RangeError(`threshold of compression is ${threshold}: give a number of bytes`)
  return {
    threshold,
    level: number("level", 0, 9),
    memLevel: number("memLevel", 1, 9),
    serverNoContextTakeover: options.serverNoContextTakeover ?? defaults.serverNoContextTakeover,
    clientNoContextTakeover: options.clientNoContextTakeover ?? defaults.clientNoContextTakeover,
    serverMaxWindowBits: number("serverMaxWindowBits", 8, 15),
    clientMaxWindowBits: number("clientMaxWindowBits", 8, 15)
  }
}

/** The extension for both ends; an option that makes no sense is the programmer's fault and throws. */
export const make = (service: Service, options: Options = {}): Extension => {
  const settings = resolve(options)
  const offer = offerOf(settings)
  return {
    name: token,
    offers: [write(offer)],
    answer: (parameters) => {
      const offered = read(parameters)
      const answer = offered === undefined ? undefined : answerTo(offered, settings)
      if (answer === undefined) return undefined
      return { parameters: write(answer), codec: makeCodec(service, settings, "server", agreedBy(answer)) }
    },
    accept: (parameters) => {
      const answer = read(parameters)
      if (answer === undefined || !answers(answer, offer)) return undefined
      const agreed = agreedBy(answer)
      // §7.1.1.2, §7.1.2.2: what a client has said of itself holds without an answer to it.
      return makeCodec(service, settings, "client", {
        ...agreed,
        clientNoContextTakeover: agreed.clientNoContextTakeover || settings.clientNoContextTakeover,
        clientMaxWindowBits: Math.min(agreed.clientMaxWindowBits, settings.clientMaxWindowBits)
      })
    }
  }
}

/** What a client asks for; that it can be told its window costs nothing to say. §7.1. */
const offerOf = ({
  serverNoContextTakeover,
  clientNoContextTakeover,
  serverMaxWindowBits,
  clientMaxWindowBits
}: Settings): Given => ({
  ...(serverNoContextTakeover ? { server_no_context_takeover: true } : {}),
  ...(clientNoContextTakeover ? { client_no_context_takeover: true } : {}),
  ...(serverMaxWindowBits < 15 ? { server_max_window_bits: serverMaxWindowBits } : {}),
  client_max_window_bits: clientMaxWindowBits < 15 ? clientMaxWindowBits : true
})

/** A server's answer, or undefined where it declines. §7.1.1, §7.1.2. */
const answerTo = (offered: Given, settings: Settings): Given | undefined => {
  const serverBits = Math.min(offered.server_max_window_bits ?? 15, settings.serverMaxWindowBits)
  const hint = offered.client_max_window_bits
  // §7.1.2.2: a client that has not said that it can be told must not be told.
  if (hint === undefined && settings.clientMaxWindowBits < 15) return undefined
  const clientBits = Math.min(typeof hint === "number" ? hint : 15, settings.clientMaxWindowBits)
  return {
    ...(offered.server_no_context_takeover || settings.serverNoContextTakeover
      ? { server_no_context_takeover: true }
      : {}),
    // §7.1.1.2: a hint of the client's that it will do so anyway, which saves us an inflater.
    ...(offered.client_no_context_takeover || settings.clientNoContextTakeover
      ? { client_no_context_takeover: true }
      : {}),
    ...(offered.server_max_window_bits !== undefined || serverBits < 15 ? { server_max_window_bits: serverBits } : {}),
    ...(typeof hint === "number" || clientBits < 15 ? { client_max_window_bits: clientBits } : {})
  }
}

/** Whether a server's answer keeps to what was offered. §7.1.1, §7.1.2. */
const answers = (answer: Given, offer: Given): boolean => {
  // What was asked of the server it has to grant; more than that it may do unasked.
  if (offer.server_no_context_takeover && !answer.server_no_context_takeover) return false
  if ((answer.server_max_window_bits ?? 15) > (offer.server_max_window_bits ?? 15)) return false
  const clientBits = answer.client_max_window_bits
  // §7.1.2.2: in an answer there is a value, and it is not above the offered one.
  if (clientBits === true) return false
  return clientBits === undefined || typeof offer.client_max_window_bits !== "number"
    ? true
    : clientBits <= offer.client_max_window_bits
}

const agreedBy = (answer: Given): Agreed => ({
  serverNoContextTakeover: answer.server_no_context_takeover === true,
  clientNoContextTakeover: answer.client_no_context_takeover === true,
  serverMaxWindowBits: answer.server_max_window_bits ?? 15,
  clientMaxWindowBits: typeof answer.client_max_window_bits === "number" ? answer.client_max_window_bits : 15
})

/** §7.2.3.6: an empty message is one empty stored block, of which the flush's end has been taken off. */
const emptyMessage = Uint8Array.of(0)

const malformed = violation(CloseCode.InvalidFramePayloadData, "compressed message that is no deflate data")

const makeCodec = (service: Service, settings: Settings, role: Role, agreed: Agreed): Codec => {
  const { threshold, level, memLevel } = settings
  const server = { windowBits: agreed.serverMaxWindowBits, keepsContext: !agreed.serverNoContextTakeover }
  const client = { windowBits: agreed.clientMaxWindowBits, keepsContext: !agreed.clientNoContextTakeover }
  const [ours, theirs] = role === "server" ? [server, client] : [client, server]
  // Made at the first message that needs it: a compressor that keeps its context is 232 kB, and most peers are idle.
  let deflater: Deflater | undefined
  let inflater: Inflater | undefined
  const judge = (result: Uint8Array | Fault, limit: number): Uint8Array | Violation => {
    if (typeof result !== "string") return result
    if (result === "malformed") return malformed
    return violation(CloseCode.MessageTooBig, `a compressed message exceeds maxMessageSize (${limit} bytes)`)
  }
  const encode = (deflater: () => Deflater, payload: Uint8Array, compress: boolean | undefined) => {
    if (!(compress ?? payload.length >= threshold)) return undefined
    return payload.length === 0 ? emptyMessage : deflater().deflate(payload)
  }
  const own = () => {
    deflater ??= service.deflater({ ...ours, level, memLevel })
    return deflater
  }
  const fresh = () => service.deflater({ ...ours, level, memLevel, keepsContext: false })
  return {
    rsv: RSV1,
    encode: (payload, compress) => encode(own, payload, compress),
    // Refers back no further than the smallest window, and to no other message.
    common: {
      kind: settings,
      demand: ours.windowBits,
      encode: (payload, compress) => encode(fresh, payload, compress),
      restart: () => deflater?.reset()
    },
    decode: (data, limit) => {
      inflater ??= service.inflater(theirs)
      const result = inflater.inflate(data, limit)
      if (typeof result === "function") return (done) => result((inflated) => done(judge(inflated, limit)))
      return judge(result, limit)
    },
    end: () => {
      deflater?.end()
      inflater?.end()
      deflater = undefined
      inflater = undefined
    }
  }
}
