import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Extension } from "./protocol/Extension.js"
import * as PerMessageDeflate from "./protocol/PerMessageDeflate.js"

/**
 * Where compressors come from: an edge of the library brings it along, as
 * `NodeListener` and `NodeConnector` do. Read once, when the layer of a server
 * or of a client is built; replace it below that layer, with `Layer.provide`.
 *
 * @see RFC 7692
 */
export class Deflate extends Context.Reference<Deflate>()("effect-websockets/Deflate", {
  defaultValue: (): Service | undefined => undefined
}) {}

export type Service = PerMessageDeflate.Service

export type { Deflater, DeflaterOptions, Fault, Inflater, InflaterOptions } from "./protocol/PerMessageDeflate.js"

/** Compressors for the layers above. */
export const layer = (service: Service): Layer.Layer<never> => Layer.succeed(Deflate, service)

/** The option `compression` of servers and clients. */
export type Compression = boolean | PerMessageDeflate.Options

/** The extension that the option asks for; where nothing can compress that is the programmer's fault and throws. */
export const extensions = (
  service: Service | undefined,
  compression: Compression | undefined
): ReadonlyArray<Extension> => {
  if (compression === undefined || compression === false) return []
  if (service === undefined) {
    throw new RangeError("compression is on and nothing here can compress: provide Deflate, as NodeDeflate.layer does")
  }
  return [PerMessageDeflate.make(service, compression === true ? {} : compression)]
}
