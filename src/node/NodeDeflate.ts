import type * as Layer from "effect/Layer"
import * as Deflate from "../Deflate.js"
import * as calls from "./deflateCalls.js"
import * as context from "./deflateContext.js"

/** Compression by documented calls of `node:zlib` only: slower, and the same on every version of Node. */
export const portable: Deflate.Service = { deflater: calls.deflater, inflater: calls.inflater }

let chosen: Deflate.Service | undefined

/** Tried out when something is to be compressed, as that takes a millisecond and a context. */
const choose = (): Deflate.Service => {
  chosen ??= context.isUsable() ? context : portable
  return chosen
}

/** Compression by zlib's own contexts where Node lets us have them, by documented calls elsewhere. */
export const service: Deflate.Service = {
  deflater: (options) => choose().deflater(options),
  inflater: (options) => choose().inflater(options)
}

/** Compressors for the layers above; `NodeListener` and `NodeConnector` bring them along, other transports do not. */
export const layer: Layer.Layer<never> = Deflate.layer(service)
