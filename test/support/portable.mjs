import { once } from "node:events"
import { connect } from "node:net"
import { createInflateRaw } from "node:zlib"

/**
 * Hides from the library what it uses where it is there and does without elsewhere: loaded before anything else, as
 * `NODE_OPTIONS="--import ./test/support/portable.mjs"`, which child processes inherit. `choices.ts` tells what is chosen.
 *
 * Only the file that chooses is told that there is none: `fetch`, tsx and `ws` need some of it too. It is JavaScript,
 * as it is loaded before what makes TypeScript run.
 */

/** The file that reads a property, where that is what this getter's caller does. */
const readerOf = (getter) => {
  const { prepareStackTrace, stackTraceLimit } = Error
  Error.prepareStackTrace = (_, [site]) => site?.getFileName() ?? ""
  Error.stackTraceLimit = 1
  const here = {}
  Error.captureStackTrace(here, getter)
  const { stack } = here
  Object.assign(Error, { prepareStackTrace, stackTraceLimit })
  return stack
}

/** A property is undefined for one file of the library, in its source or built; what a test puts in its place is not. */
const hide = (owner, name, file) => {
  const original = owner[name]
  if (original === undefined) return
  const reader = new RegExp(`/(src|dist)/${file}\\.[jt]s`)
  let value = original
  const get = () => (value === original && reader.test(readerOf(get)) ? undefined : value)
  function set(given) {
    if (this === owner) value = given
    else Object.defineProperty(this, name, { value: given, configurable: true, enumerable: true, writable: true })
  }
  Object.defineProperty(owner, name, { get, set, configurable: true, enumerable: true })
}

/** The object in a chain of prototypes that has a property itself. */
const ownerOf = (object, name) =>
  object === null || Object.hasOwn(object, name) ? (object ?? {}) : ownerOf(Object.getPrototypeOf(object), name)

/** What sockets and pipes, and what all streams of zlib, have in common. */
const socket = connect({ host: "127.0.0.1", port: 1 })
const inflate = createInflateRaw()
hide(ownerOf(Reflect.get(socket, "_handle"), "useUserBuffer"), "useUserBuffer", "node/byteStream")
hide(ownerOf(Reflect.get(inflate, "_handle"), "reset"), "reset", "node/deflateContext")
inflate.destroy()
// In the tick in which it was made: nothing is connected to.
socket.destroy()
await once(socket, "close")

hide(globalThis, "WebAssembly", "protocol/vectors")
hide(process, "getBuiltinModule", "protocol/native")
hide(globalThis, "setImmediate", "macrotask")
