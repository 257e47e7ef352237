import type { AddressInfo } from "node:net"
import { WebSocket, WebSocketServer } from "ws"
import { numbered, type Opening, Report, type Task, type Testee } from "./Testee.js"

/** `ws` as a testee, to compare: it has no deadlines for handshakes, no limits on pings, and no program that can be slow. */

const limitsOf = ({ compression = false, maxFragments = 16_384, maxMessageSize = 1_048_576 }: Task) => ({
  maxPayload: maxMessageSize,
  maxFragments,
  // Its options have the same names.
  perMessageDeflate: typeof compression === "boolean" ? compression : { ...compression }
})

const act = (socket: WebSocket, task: Task, report: Report): void => {
  report.opened++
  report.buffered = () => socket.bufferedAmount
  const does = task.does ?? { _tag: "Echo" }
  let sent: number | undefined
  const close = (code: number) => {
    sent = code
    socket.close(code)
  }
  socket.on("error", () => {})
  socket.on("message", (data, binary) => {
    report.taken++
    if (does._tag === "Close") close(does.code)
    else if (does._tag === "Echo") socket.send(data, { binary })
  })
  socket.on("close", (code) => {
    const received = code === 1006 ? undefined : code
    const cause = received === undefined ? "the end" : undefined
    report.end({ isClean: received !== undefined, code, sent: sent ?? received, received, cause })
  })
  if (does._tag === "Close" && does.when === "at once") close(does.code)
  if (does._tag === "Send") {
    for (let i = 0; i < does.count; i++) socket.send(numbered(i, does.size), () => report.sent++)
  }
}

const serve = async (task: Task) => {
  const report = new Report()
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, ...limitsOf(task) })
  server.on("connection", (socket) => act(socket, task, report))
  await new Promise<void>((resolve) => server.on("listening", resolve))
  return {
    port: (server.address() as AddressInfo).port,
    report,
    stop: async () => {
      for (const client of server.clients) client.terminate()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

const dial = (url: string, task: Task) => {
  const report = new Report()
  const protocols = [...(task.subprotocols ?? [])]
  const socket = new WebSocket(url, protocols, { ...limitsOf(task), handshakeTimeout: task.openTimeout ?? 10_000 })
  const opening = new Promise<Opening>((resolve) => {
    socket.on("open", () => resolve({ _tag: "Opened" }))
    socket.on("error", ({ message }) => {
      const header = /Sec-WebSocket-\w+(?= header)/.exec(message)?.[0]
      resolve({
        _tag: "Failed",
        error: "HandshakeError",
        reason: header === undefined ? undefined : "InvalidHeader",
        header,
        status: undefined,
        body: undefined,
        sentence: message
      })
    })
  })
  // In the tick in which it is open: what came with the answer is heard.
  socket.on("open", () => act(socket, task, report))
  return { opening, report, stop: async () => socket.terminate() }
}

/** `ws` with the limits that a scenario asks for. */
export const ws: Testee = { home: { url: import.meta.url, name: "ws" }, serve, dial }
