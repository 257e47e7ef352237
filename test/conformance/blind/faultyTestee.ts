import { connect, createServer, type Socket } from "node:net"
import { acceptOf, type Head, readHead } from "../handshake.js"
import { type Faults, FaultyPeer } from "./FaultyPeer.js"
import { type Opening, Report, type Task, type Testee } from "./Testee.js"

/** Both roles of the small testee, with its opening handshake. */

const OPEN_TIMEOUT = 10_000

const isListed = ({ headers }: Head, name: string, word: string): boolean =>
  (headers.get(name) ?? "").split(",").some((item) => item.trim().toLowerCase() === word)

const SENTENCE = "This is not what was to be asked.\n"

/** What has to be answered to what is no request for a WebSocket; nothing else is looked at. */
const refusalOf = (head: Head): string | undefined => {
  const [method, , version] = head.start.split(" ")
  const value = (name: string) => head.headers.get(name) ?? ""
  if (version === "HTTP/1.0") return "505 HTTP Version Not Supported"
  if (method !== "GET") return "405 Method Not Allowed\r\nAllow: GET"
  // Two of them are joined by a comma.
  if (!/^[^\s,]+$/.test(value("host"))) return "400 Bad Request"
  const upgrade = "426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade"
  if (!isListed(head, "upgrade", "websocket") || !isListed(head, "connection", "upgrade")) return upgrade
  if (value("sec-websocket-version") !== "13") return `${upgrade}\r\nSec-WebSocket-Version: 13`
  return /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(value("sec-websocket-key")) ? undefined : "400 Bad Request"
}

const listening = async (onSocket: (socket: Socket) => void) => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay(true).on("error", () => {}))
    socket.on("close", () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  return {
    server,
    port: typeof address === "object" && address !== null ? address.port : 0,
    stop: () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      })
  }
}

const serve = async (faults: Partial<Faults>, task: Task) => {
  const report = new Report()
  const { server, ...running } = await listening((socket) => {
    const openTimeout = faults.waitsForEver === true ? 3_600_000 : (task.openTimeout ?? OPEN_TIMEOUT)
    readHead(socket, openTimeout).then(
      (head) => {
        const refusal = faults.opensAlways === true ? undefined : refusalOf(head)
        if (refusal === undefined) {
          const accept = acceptOf(head.headers.get("sec-websocket-key") ?? "")
          const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
          socket.write(`${lines.join("\r\n")}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
          new FaultyPeer(socket, false, task, faults, report).start(head.rest)
          return
        }
        if (faults.givesUp === true) server.close()
        const body = faults.saysNothing === true ? "" : SENTENCE
        socket.write(`HTTP/1.1 ${refusal}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
        socket.resume()
        if (faults.keepsTcp !== true) socket.end()
      },
      () => socket.destroy()
    )
  })
  return { ...running, report }
}

const KEY = "AAAAAAAAAAAAAAAAAAAAAA=="

/** What is wrong with an answer: the header, or the status. */
const faultOf = (
  head: Head,
  { subprotocols = [] }: Task
): { readonly header?: string; readonly status?: number } | undefined => {
  const status = Number(head.start.split(" ")[1])
  if (status !== 101) return { status }
  if (!head.start.startsWith("HTTP/1.1 ") || !isListed(head, "upgrade", "websocket")) return { header: "Upgrade" }
  if (!isListed(head, "connection", "upgrade")) return { header: "Connection" }
  const accept = "Sec-WebSocket-Accept"
  if (head.headers.get(accept.toLowerCase()) !== acceptOf(KEY)) return { header: accept }
  const subprotocol = head.headers.get("sec-websocket-protocol")
  if (subprotocol !== undefined && !subprotocols.includes(subprotocol)) return { header: "Sec-WebSocket-Protocol" }
  return head.headers.has("sec-websocket-extensions") ? { header: "Sec-WebSocket-Extensions" } : undefined
}

const failed = (error: string, more: Partial<Opening>): Opening => ({
  _tag: "Failed",
  error,
  reason: undefined,
  header: undefined,
  status: undefined,
  body: undefined,
  sentence: "the small testee did not connect",
  ...more
})

const dial = (faults: Partial<Faults>, url: string, task: Task) => {
  const report = new Report()
  const { port, pathname } = new URL(url)
  const socket = connect({ port: Number(port), host: "127.0.0.1" }).setNoDelay(true)
  socket.on("error", () => {})
  socket.write(
    `GET ${pathname} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`
  )
  const openTimeout = faults.waitsForEver === true ? 3_600_000 : (task.openTimeout ?? OPEN_TIMEOUT)
  const opening = readHead(socket, openTimeout).then(
    (head): Opening => {
      const fault = faults.opensAlways === true ? undefined : faultOf(head, task)
      if (fault === undefined) {
        new FaultyPeer(socket, true, task, faults, report).start(head.rest)
        return { _tag: "Opened" }
      }
      socket.destroy()
      const { header, status } = fault
      const reason = header === undefined ? "Rejected" : "InvalidHeader"
      return failed("HandshakeError", { reason, header, status, body: head.rest } as Partial<Opening>)
    },
    () => {
      const hasTimedOut = !socket.destroyed && !socket.readableEnded
      socket.destroy()
      return hasTimedOut ? failed("HandshakeError", { reason: "Timeout" }) : failed("TransportError", {})
    }
  )
  return {
    opening,
    report,
    stop: async () => {
      socket.destroy()
    }
  }
}

/** The small testee with these faults. */
export const faulty = (faults: Partial<Faults>): Testee => ({
  serve: (task) => serve(faults, task),
  dial: (url, task) => dial(faults, url, task)
})
