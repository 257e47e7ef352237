import * as MessagePack from "./protocol/messagePack.js"

/**
 * How plain values become messages and come back: JSON as text, MessagePack as
 * binary, or one of your own. What the values are is for the Schemas of a
 * `Protocol` to say. A codec has no state of a connection's, and its functions
 * may throw for what they cannot do: that becomes a typed error.
 */
export type Codec = TextCodec | BinaryCodec

export interface TextCodec {
  /** For sentences of errors: `JSON`. */
  readonly name: string
  readonly type: "text"
  readonly encode: (value: unknown) => string
  readonly decode: (message: string) => unknown
}

export interface BinaryCodec {
  /** For sentences of errors: `MessagePack`. */
  readonly name: string
  readonly type: "binary"
  /** Bytes that nobody changes any more. */
  readonly encode: (value: unknown) => Uint8Array
  readonly decode: (message: Uint8Array) => unknown
}

/** Said plainly, or perhaps with escapes. */
const mayNameProto = (text: string): boolean => text.includes("__proto__") || text.includes("\\u00")

/** Without what would become the prototype of an object, where a Schema copies what it does not know by name. */
const withoutProto = (key: string, value: unknown): unknown => (key === "__proto__" ? undefined : value)

/** JSON as text messages, in which the key `__proto__` is passed over. RFC 8259. */
export const json: TextCodec = {
  name: "JSON",
  type: "text",
  encode: (value) => {
    // Declared as if there always were a string.
    const text: string | undefined = JSON.stringify(value)
    if (text === undefined) throw new TypeError(`JSON has no ${typeof value}`)
    return text
  },
  decode: (text) => (mayNameProto(text) ? JSON.parse(text, withoutProto) : JSON.parse(text))
}

/** What packs and unpacks: the module `msgpackr` itself, or a `Packr` of it without `useRecords`. */
export interface Packer {
  readonly pack: (value: unknown) => Uint8Array
  readonly unpack: (bytes: Uint8Array) => unknown
}

/**
 * MessagePack as binary messages, by the package msgpackr, which this library
 * does not load by itself: `Codec.messagePack(msgpackr)` with
 * `import * as msgpackr from "msgpackr"`.
 *
 * What a peer sends is looked through first, so that it cannot ask for more
 * memory than its size justifies, or for extensions other than timestamps.
 *
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export const messagePack = (packer: Packer): BinaryCodec => ({
  name: "MessagePack",
  type: "binary",
  encode: (value) => packer.pack(value),
  decode: (bytes) => {
    const fault = MessagePack.fault(bytes)
    if (fault !== undefined) throw new SyntaxError(fault)
    return packer.unpack(bytes)
  }
})
