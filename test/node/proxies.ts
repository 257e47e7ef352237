import { createServer as createHttpServer, type IncomingMessage } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { createServer, connect as netConnect, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { Effect, Layer } from "effect"
import { type ProxyError, WebSocketClient } from "effect-websockets"
import { NodeConnector, NodeProxy } from "effect-websockets/node"
import { listening, type Pair } from "./support.js"

/** Clients that go through proxies, and proxies that say what they were told. Whatever the host, they connect to this machine. */

/** A client of ours behind a proxy. */
export const connectVia = <E = never>(
  proxy: string | Layer.Layer<never, E>,
  uri: string,
  options: WebSocketClient.ConnectOptions = {},
  connector: NodeConnector.ConnectorOptions = {}
) =>
  Effect.provide(
    WebSocketClient.connect(uri, options),
    WebSocketClient.layer.pipe(
      Layer.provide(NodeConnector.layerWith(connector)),
      Layer.provide<never, ProxyError | E, never>(typeof proxy === "string" ? NodeProxy.layer(proxy) : proxy)
    )
  )

/** Two sockets as one; the end of either is the other's. */
const join = (one: Duplex, other: Duplex): void => {
  one.on("error", () => other.destroy())
  other.on("error", () => one.destroy())
  one.on("close", () => other.destroy())
  other.on("close", () => one.destroy())
  one.pipe(other).pipe(one)
}

/** An HTTP proxy that knows CONNECT, over TLS with a pair. */
export const httpProxy = ({ pair, authorization }: { readonly pair?: Pair; readonly authorization?: string } = {}) =>
  Effect.gen(function* () {
    const asked: Array<Pick<IncomingMessage, "url" | "rawHeaders">> = []
    const { port } = yield* listening(() =>
      (pair === undefined ? createHttpServer() : createHttpsServer(pair)).on(
        "connect",
        (message, socket: Duplex, head) => {
          asked.push({ url: message.url, rawHeaders: message.rawHeaders })
          if (authorization !== undefined && message.headers["proxy-authorization"] !== authorization) {
            socket.on("error", () => {})
            socket.end('HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm="here"\r\nContent-Length: 3\r\n\r\nno\n')
            return
          }
          const target = netConnect(Number(message.url?.replace(/^.*:/, "")), "127.0.0.1", () => {
            socket.write("HTTP/1.1 200 Yes\r\n\r\n")
            if (head.length > 0) target.write(head)
            join(socket, target)
          })
        }
      )
    )
    return { asked, port, uri: `${pair === undefined ? "http" : "https"}://127.0.0.1:${port}` }
  })

interface Socks4Request {
  readonly port: number
  /** An address, or with SOCKS4a a name. */
  readonly host: string
  readonly user: string
}

const parseSocks4 = (bytes: Buffer): Socks4Request | undefined => {
  const userEnd = bytes.indexOf(0, 8)
  if (bytes.length < 9 || userEnd < 0) return undefined
  const user = bytes.toString("latin1", 8, userEnd)
  const port = bytes.readUInt16BE(2)
  const isNamed = bytes.readUInt32BE(4) < 256
  if (!isNamed) return { port, host: bytes.subarray(4, 8).join("."), user }
  const hostEnd = bytes.indexOf(0, userEnd + 1)
  return hostEnd < 0 ? undefined : { port, host: bytes.toString("latin1", userEnd + 1, hostEnd), user }
}

/** A SOCKS4 and SOCKS4a proxy that lets one user in, and all where that is undefined. */
export const socks4Proxy = (user?: string) =>
  Effect.gen(function* () {
    const asked: Array<Socks4Request> = []
    const { port } = yield* listening(() =>
      createServer((socket: Socket) => {
        let received = Buffer.alloc(0)
        socket.on("error", () => {})
        const read = (chunk: Buffer) => {
          received = Buffer.concat([received, chunk])
          const request = parseSocks4(received)
          if (request === undefined) return
          socket.off("data", read)
          asked.push(request)
          if (user !== undefined && request.user !== user) {
            socket.end(Buffer.of(0, 91, 0, 0, 0, 0, 0, 0))
            return
          }
          const target = netConnect(request.port, "127.0.0.1", () => {
            socket.write(Buffer.of(0, 90, 0, 0, 0, 0, 0, 0))
            join(socket, target)
          })
        }
        socket.on("data", read)
      })
    )
    return { asked, port }
  })
