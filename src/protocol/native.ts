/**
 * What a runtime offers beyond the language for work on bytes, looked up once.
 *
 * `process.getBuiltinModule` instead of an import keeps `node:` out of the
 * module graph, so that the same protocol code can be bundled for a browser;
 * every use has a portable path beside it.
 */
export interface NodeBuffers {
  readonly Buffer: { readonly prototype: ByteMethods; allocUnsafeSlow(size: number): Uint8Array }
  isAscii(bytes: Uint8Array): boolean
  isUtf8(bytes: Uint8Array): boolean
  transcode(bytes: Uint8Array, from: "utf8", to: "ucs2"): Uint8Array
}

/** Buffer's methods for strings; they work on any Uint8Array and skip the checks of `toString` and `write`. */
interface ByteMethods {
  latin1Slice(this: Uint8Array, start: number, end: number): string
  utf8Slice(this: Uint8Array, start: number, end: number): string
  ucs2Slice(this: Uint8Array, start: number, end: number): string
  utf8Write(this: Uint8Array, text: string, offset: number, length: number): number
}

interface NodeCrypto {
  /** Since 20.12: half of what `createHash` costs. */
  readonly hash?: ((algorithm: string, data: string, encoding: "base64") => string) | undefined
  createHash(algorithm: string): { update(data: string): { digest(encoding: "base64"): string } }
}

type Lookup = (name: string) => unknown

const lookup: Lookup = (name) =>
  (globalThis as { process?: { getBuiltinModule?: Lookup } }).process?.getBuiltinModule?.(name)

const probeBuffers = (): NodeBuffers | undefined => {
  const found = lookup("node:buffer") as NodeBuffers | undefined
  const methods = found?.Buffer?.prototype
  const complete =
    typeof found?.isAscii === "function" &&
    typeof found.isUtf8 === "function" &&
    typeof found.transcode === "function" &&
    typeof methods?.latin1Slice === "function" &&
    typeof methods.utf8Slice === "function" &&
    typeof methods.ucs2Slice === "function" &&
    typeof methods.utf8Write === "function"
  return complete ? found : undefined
}

/** Node's buffers, or undefined where the runtime lacks any part of what is used of them. */
export const buffers = probeBuffers()

/** Node's crypto, or undefined elsewhere. */
export const crypto = lookup("node:crypto") as NodeCrypto | undefined

/** Memory of our own with arbitrary content: whoever asks overwrites all that is ever read. */
export const allocate: (size: number) => Uint8Array =
  buffers === undefined
    ? (size) => new Uint8Array(size)
    : (size) => {
        // Clearing costs more than the rest from about 4 KiB on; below, a small typed array is cheaper to make.
        if (size < 4096) return new Uint8Array(size)
        return new Uint8Array(buffers.Buffer.allocUnsafeSlow(size).buffer)
      }

/** The same as a Buffer where there are any: views of it cost a third of a typed array's, and node's sockets take them as they are. */
export const allocateArena: (size: number) => Uint8Array =
  buffers === undefined ? (size) => new Uint8Array(size) : (size) => buffers.Buffer.allocUnsafeSlow(size)

/** A copy of bytes[start, end) that nobody else refers to. */
export const copyOf = (bytes: Uint8Array, start: number, end: number): Uint8Array => {
  const copy = allocate(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}
