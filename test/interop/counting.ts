import { Effect, Layer } from "effect"
import { type Connection, Deflate, WebSocketClient, type WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeDeflate, NodeListener } from "effect-websockets/node"
import { serveOn } from "../node/support.js"

/**
 * Our ends with Node's compressors, which count here: a test sees that a
 * message was compressed, not only that it has arrived.
 */
export class Counts {
  deflated = 0
  inflated = 0

  readonly layer: Layer.Layer<never> = Deflate.layer({
    deflater: (options) => {
      const deflater = NodeDeflate.service.deflater(options)
      const deflate = deflater.deflate.bind(deflater)
      const counted: typeof deflate = (payload) => {
        this.deflated++
        return deflate(payload)
      }
      return Object.assign(deflater, { deflate: counted })
    },
    inflater: (options) => {
      const inflater = NodeDeflate.service.inflater(options)
      const inflate = inflater.inflate.bind(inflater)
      const counted: typeof inflate = (data, limit) => {
        this.inflated++
        return inflate(data, limit)
      }
      return Object.assign(inflater, { inflate: counted })
    }
  })
}

/** A server of ours. */
export const serveCounting = (
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>,
  { layer }: Counts,
  { listen, ...options }: WebSocketServer.ServerOptions & { readonly listen: NodeListener.ListenOptions }
) => serveOn(handler, Layer.merge(NodeListener.layer(listen), layer), options)

/** A client of ours. */
export const connectCounting = (
  uri: string,
  { layer }: Counts,
  options: WebSocketClient.ConnectOptions,
  connector: NodeConnector.ConnectorOptions = {}
) =>
  Effect.provide(
    WebSocketClient.connect(uri, options),
    WebSocketClient.layer.pipe(Layer.provide(Layer.merge(NodeConnector.layerWith(connector), layer)))
  )

/** What both ends have agreed on: the parameters of permessage-deflate, undefined where it was not agreed. */
export const agreed = ({ handshake }: Connection.Connection): Readonly<Record<string, string>> | undefined => {
  const entry = handshake.extensions.find(({ name }) => name === "permessage-deflate")
  return entry === undefined
    ? undefined
    : Object.fromEntries(entry.parameters.map(({ name, value }) => [name, value ?? ""]))
}
