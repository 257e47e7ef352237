import { once } from "node:events"
import { connect } from "node:net"
import { createInflateRaw } from "node:zlib"

/**
 * Takes from Node what the library uses where it is there and does without elsewhere: loaded before anything else, as
 * `NODE_OPTIONS="--import ./test/support/portable.mjs"`, which child processes inherit. `choices.ts` tells what is chosen.
 *
 * It is JavaScript, as it is loaded before what makes TypeScript run.
 */

/** Without `useUserBuffer` no socket reads into memory of ours; it stands in what TCP sockets and pipes have in common. */
const socket = connect({ host: "127.0.0.1", port: 1 })
let prototype = Reflect.get(socket, "_handle")
while (prototype !== null && !Object.hasOwn(prototype, "useUserBuffer")) prototype = Object.getPrototypeOf(prototype)
if (prototype !== null) delete prototype.useUserBuffer
// In the tick in which it was made: nothing is connected to.
socket.destroy()
await once(socket, "close")

/** Node's own calls of zlib reset no handle, and work as ever. */
const inflate = createInflateRaw()
delete Object.getPrototypeOf(Reflect.get(inflate, "_handle")).reset
inflate.destroy()

/** No small module is compiled while somebody waits. The parsers of `fetch` and tsx are larger, and necessary. */
WebAssembly.Module = new Proxy(WebAssembly.Module, {
  construct: (Module, [bytes]) => {
    if (bytes.byteLength < 1024) throw new WebAssembly.CompileError("WebAssembly is not to be had in this run")
    return new Module(bytes)
  }
})

const { getBuiltinModule } = process
process.getBuiltinModule = (name) =>
  name === "node:buffer" || name === "node:crypto" ? undefined : getBuiltinModule(name)

/** Everybody else has `setImmediate`, tests above all; `macrotask.ts` alone is told that there is none. */
const { setImmediate } = globalThis
let given = setImmediate
Object.defineProperty(globalThis, "setImmediate", {
  configurable: true,
  enumerable: true,
  get: () => (/\/macrotask\.[jt]s/.test(new Error().stack?.split("\n")[2] ?? "") ? undefined : given),
  set: (value) => {
    given = value
  }
})
