import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Message } from "./inbox.js"
import { joinedBytes } from "./joinedBytes.js"

/** The bytes of a text as UTF-8. */
const bytesOf = (text: string): number => {
  let size = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) size += 1
    // Both halves of a pair are four bytes together; a half without the other is sent as U+FFFD, which is three.
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1))) {
      size += 2
      i++
    } else size += 2
  }
  return size
}

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** The bytes of a message. */
export const sizeOf = (message: Message): number => (typeof message === "string" ? bytesOf(message) : message.length)

const hasOwnMemory = (bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> => bytes.buffer instanceof ArrayBuffer

/** Bytes in memory that a browser takes, which is none that other threads have too. */
export const ownMemory = (bytes: Uint8Array): Uint8Array<ArrayBuffer> =>
  hasOwnMemory(bytes) ? bytes : new Uint8Array(bytes)

/** The one message that a stream of fragments makes; undefined where there are none. */
export const gather = <E, R>(fragments: Stream.Stream<Message, E, R>): Effect.Effect<Message | undefined, E, R> =>
  Stream.runFold(fragments, [] as Message[], (all, fragment) => {
    all.push(fragment)
    return all
  }).pipe(Effect.map(joined))

const isText = (fragment: Message): fragment is string => typeof fragment === "string"

const isBinary = (fragment: Message): fragment is Uint8Array => typeof fragment !== "string"

const joined = (fragments: ReadonlyArray<Message>): Message | undefined => {
  if (fragments.length === 0) return undefined
  if (fragments.every(isText)) return fragments.join("")
  if (!fragments.every(isBinary)) {
    throw new TypeError("the fragments of one message are all strings or all bytes: do not mix them")
  }
  return joinedBytes(fragments)
}
