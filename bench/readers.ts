import net from "node:net"
import type { FromReaders, ToReaders } from "./soakMessages.js"

/** Many connections that count what is broadcast to them, some of them slowly: 512 bytes at a time, twice a second. */

const report = (message: FromReaders): void => {
  process.send?.(message)
}

class Reader {
  readonly socket: net.Socket
  readonly isSlow: boolean
  messages = 0
  isOpen = true
  /** Bytes of the current frame that are still to come, and of a header that is not whole. */
  private missing = 0
  private head = Buffer.alloc(0)

  constructor(socket: net.Socket, isSlow: boolean) {
    this.socket = socket
    this.isSlow = isSlow
    const ended = () => {
      this.isOpen = false
    }
    socket.on("error", ended).on("close", ended).on("end", ended)
    if (isSlow) {
      const timer = setInterval(() => socket.read(512), 500)
      socket.on("close", () => clearInterval(timer))
    } else {
      socket.on("data", (chunk: Buffer) => this.read(chunk))
    }
  }

  /** Frames of a server: a header of two or four bytes, and a payload that is all x. */
  private read(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.missing > 0) {
        const size = Math.min(this.missing, chunk.length - at)
        at += size
        this.missing -= size
        if (this.missing === 0) this.messages++
        continue
      }
      this.head = Buffer.concat([this.head, chunk.subarray(at, at + 1)])
      at++
      if (this.head.length < 2) continue
      const short = (this.head[1] ?? 0) & 0x7f
      if (short === 126 && this.head.length < 4) continue
      if ((this.head[0] ?? 0) !== 0x81) throw new Error(`not a text message: ${this.head.toString("hex")}`)
      this.missing = short === 126 ? this.head.readUInt16BE(2) : short
      this.head = Buffer.alloc(0)
    }
  }
}

const open = (port: number, isSlow: boolean): Promise<Reader> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1")
    socket.once("error", reject)
    socket.once("data", () => {
      socket.off("error", reject)
      resolve(new Reader(socket, isSlow))
    })
    socket.write(
      `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
  })

const readers: Array<Reader> = []

/** Nothing has come for half a second. */
const settled = async (): Promise<void> => {
  const total = () => readers.reduce((sum, { messages }) => sum + messages, 0)
  for (let before = -1; before !== total(); ) {
    before = total()
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}

const obey = async (message: ToReaders): Promise<void> => {
  if (message._tag === "Connect") {
    const { connections, port, slow } = message
    for (let i = 0; i < connections; i++) readers.push(await open(port, i % Math.floor(connections / slow) === 0))
    return report({ _tag: "Connected" })
  }
  await settled()
  const counts = readers.filter(({ isSlow }) => !isSlow).map(({ messages }) => messages)
  const most = Math.max(...counts)
  report({
    _tag: "Counted",
    complete: counts.filter((count) => count === most).length,
    least: Math.min(...counts),
    open: readers.filter(({ isOpen }) => isOpen).length
  })
  for (const reader of readers) reader.messages = 0
}

process.on("message", (message: ToReaders) => void obey(message))
process.on("disconnect", () => process.exit())
