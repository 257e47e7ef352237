import { certificateFiles } from "../certificate.js"
import { makeTally } from "../tally.js"
import { ownWorkload } from "../workloads.js"
import { listening } from "./control.js"

/** What is used of uWebSockets.js. The project doesn't depend on it, so its types are here. */
interface Socket {
  readonly send: (message: ArrayBuffer | string, isBinary: boolean, compress: boolean) => number
  readonly subscribe: (topic: string) => boolean
  readonly getUserData: () => { tally?: (size: number) => string | undefined }
}

interface App {
  readonly ws: (
    pattern: string,
    behaviour: {
      readonly compression: number
      readonly maxPayloadLength: number
      readonly maxBackpressure: number
      readonly open: (ws: Socket) => void
      readonly message: (ws: Socket, message: ArrayBuffer, isBinary: boolean) => void
    }
  ) => App
  readonly publish: (topic: string, message: ArrayBuffer, isBinary: boolean, compress: boolean) => boolean
  readonly listen: (host: string, port: number, callback: (socket: unknown) => void) => App
}

interface MicroWebSockets {
  readonly App: () => App
  readonly SSLApp: (options: { readonly cert_file_name: string; readonly key_file_name: string }) => App
  readonly us_socket_local_port: (socket: unknown) => number
  readonly DISABLED: number
  readonly SHARED_COMPRESSOR: number
}

const name: string = "@btc-vision/uwebsockets.js"
const { default: uws }: { readonly default: MicroWebSockets } = await import(name)

const workload = ownWorkload()
const deflate = "deflate" in workload && workload.deflate === true

const makeApp = (): App => {
  if (!(workload.kind === "memory" && workload.tls)) return uws.App()
  const { cert, key } = certificateFiles()
  return uws.SSLApp({ cert_file_name: cert, key_file_name: key })
}

const decoder = new TextDecoder()

const app = makeApp()
app
  .ws("/*", {
    compression: deflate ? uws.SHARED_COMPRESSOR : uws.DISABLED,
    maxPayloadLength: 2 * 1024 * 1024,
    // Until then nothing is dropped.
    maxBackpressure: 64 * 1024 * 1024,
    open: (ws) => {
      if (workload.kind === "broadcast") ws.subscribe("all")
      if (workload.kind === "receive") ws.getUserData().tally = makeTally(workload.every)
    },
    message: (ws, message, isBinary) => {
      if (workload.kind === "broadcast") {
        app.publish("all", message, isBinary, deflate)
        return
      }
      const { tally } = ws.getUserData()
      if (tally === undefined) {
        ws.send(message, isBinary, deflate)
        return
      }
      const sum = tally(decoder.decode(message).length)
      if (sum !== undefined) ws.send(sum, false, false)
    }
  })
  .listen("127.0.0.1", 0, (socket) => listening(uws.us_socket_local_port(socket)))
