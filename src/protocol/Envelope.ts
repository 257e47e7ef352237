import * as CloseCode from "./CloseCode.js"
import { type Violation, violation } from "./Frame.js"

/**
 * What the two ends of a session that survives its connections say to each
 * other, as WebSocket messages. `Resume` documents it byte by byte.
 */
export type Envelope =
  /** A message of the program, the next in number. */
  | { readonly _tag: "Data"; readonly message: string | Uint8Array }
  /** The client's first: its session, if it has one, and how many messages it has received in it. */
  | { readonly _tag: "Hello"; readonly received: number; readonly session: Uint8Array | undefined }
  /** The server's answer, the same for its side. */
  | { readonly _tag: "Welcome"; readonly received: number; readonly session: Uint8Array }
  /** The next message has this number. */
  | { readonly _tag: "From"; readonly number: number }
  /** All messages up to this number have been taken by the program, and need not be kept. */
  | { readonly _tag: "Ack"; readonly taken: number }
  /** The server's other answer: it does not know the session. */
  | { readonly _tag: "Unknown" }
  /** Nothing more will come: the session ends with the close frame that follows. */
  | { readonly _tag: "End" }

/** The bytes of a session's identifier. */
export const sessionLength = 16

const DATA = 0
const HELLO = 1
const WELCOME = 2
const FROM = 3
const ACK = 4
const UNKNOWN = 5
const END = 6

/** Seven bits a byte, the lowest first; all but the last have the highest bit set. */
const writeNumber = (tag: number, value: number, rest: Uint8Array | undefined): Uint8Array => {
  const bytes = [tag]
  let left = value
  for (; left > 0x7f; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80)
  bytes.push(left)
  const all = new Uint8Array(bytes.length + (rest?.length ?? 0))
  all.set(bytes)
  if (rest !== undefined) all.set(rest, bytes.length)
  return all
}

/** So many bytes hold every number up to 2⁵³ − 1. */
const LONGEST_NUMBER = 8

/** The number behind the tag and where it ends; undefined where there is none, or it is not in its shortest form. */
const readNumber = (bytes: Uint8Array): { readonly value: number; readonly end: number } | undefined => {
  let value = 0
  for (let i = 0; i < LONGEST_NUMBER && i + 1 < bytes.length; i++) {
    const byte = bytes[i + 1]!
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) {
      const isShortest = byte > 0 || i === 0
      return isShortest && Number.isSafeInteger(value) ? { value, end: i + 2 } : undefined
    }
  }
  return undefined
}

/** An envelope as a message of the connection; a text of the program is its own. The content is copied. */
export const encode = (envelope: Envelope): string | Uint8Array => {
  switch (envelope._tag) {
    case "Data": {
      const { message } = envelope
      if (typeof message === "string") return message
      const bytes = new Uint8Array(1 + message.length)
      bytes[0] = DATA
      bytes.set(message, 1)
      return bytes
    }
    case "Hello":
      return writeNumber(HELLO, envelope.received, envelope.session)
    case "Welcome":
      return writeNumber(WELCOME, envelope.received, envelope.session)
    case "From":
      return writeNumber(FROM, envelope.number, undefined)
    case "Ack":
      return writeNumber(ACK, envelope.taken, undefined)
    case "Unknown":
      return Uint8Array.of(UNKNOWN)
    case "End":
      return Uint8Array.of(END)
  }
}

const malformed = (problem: string): Violation =>
  violation(CloseCode.ProtocolError, `malformed resume envelope: ${problem}`)

/** The envelope in a message of the connection. */
export const decode = (message: string | Uint8Array): Envelope | Violation => {
  if (typeof message === "string") return { _tag: "Data", message }
  const tag = message[0]
  if (tag === undefined) return malformed("it is empty")
  if (tag === DATA) return { _tag: "Data", message: message.subarray(1) }
  if (tag > END) return malformed(`its tag is ${tag}`)
  if (tag >= UNKNOWN) {
    return message.length === 1 ? { _tag: tag === END ? "End" : "Unknown" } : malformed(`bytes behind its tag ${tag}`)
  }
  const number = readNumber(message)
  if (number === undefined) return malformed(`no number behind its tag ${tag}`)
  const { value, end } = number
  const rest = message.length - end
  const session = () => message.slice(end)
  switch (tag) {
    case HELLO:
      if (rest === 0) return { _tag: "Hello", received: value, session: undefined }
      return rest === sessionLength ? { _tag: "Hello", received: value, session: session() } : badSession(rest)
    case WELCOME:
      return rest === sessionLength ? { _tag: "Welcome", received: value, session: session() } : badSession(rest)
    default:
      if (rest > 0) return malformed(`${rest} bytes behind its number`)
      if (tag === ACK) return { _tag: "Ack", taken: value }
      return value > 0 ? { _tag: "From", number: value } : malformed("messages are counted from 1")
  }
}

const badSession = (length: number): Violation => malformed(`its session has ${length} bytes, not ${sessionLength}`)

// What is wrong with an envelope that is well-formed.

export const outOfPlace = violation(CloseCode.ProtocolError, "a resume envelope stands where it must not")
export const neverSent = violation(CloseCode.ProtocolError, "messages are acknowledged that were never sent")
export const lost = violation(CloseCode.PolicyViolation, "messages are lost, and the session cannot go on")
