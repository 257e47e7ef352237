import { Buffer } from "node:buffer"
import { createHash, randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { type Agreement, type Answer, agreed, answer, type Demand, offer } from "./extensions.js"

/** The opening handshake as text, both sides of it. RFC 6455 §4. */

/** A head may be this long, in octets. */
const MAX_HEAD = 65_536

export interface Head {
  readonly start: string
  /** Names in lower case; repeated ones joined by commas. */
  readonly headers: ReadonlyMap<string, string>
  /** What came behind the head. */
  readonly rest: Uint8Array
}

export const parse = (text: string, rest: Uint8Array): Head => {
  const [start = "", ...lines] = text.split("\r\n")
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon <= 0) continue
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return { start, headers, rest }
}

/** Reads up to the empty line; fails where the stream ends before it, or takes too long. */
export const readHead = (socket: Socket, milliseconds: number): Promise<Head> =>
  new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const timer = setTimeout(() => settle(() => reject(new Error("no whole head in time"))), milliseconds)
    const settle = (done: () => void) => {
      clearTimeout(timer)
      socket.off("data", onData).off("close", onClose)
      done()
    }
    const onClose = () => settle(() => reject(new Error("the stream ended inside the handshake")))
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const end = bytes.indexOf("\r\n\r\n")
      if (end >= 0) {
        socket.pause()
        settle(() => resolve(parse(bytes.toString("latin1", 0, end), bytes.subarray(end + 4))))
      } else if (bytes.length > MAX_HEAD) {
        settle(() => reject(new Error("a head without end")))
      }
    }
    socket.on("data", onData).on("close", onClose)
  })

/** The answer to a key. RFC 6455 §4.2.2. */
export const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

const demand = (holds: boolean, problem: string): void => {
  if (!holds) throw new Error(problem)
}

const lists = (head: Head, name: string, word: string): boolean =>
  (head.headers.get(name) ?? "").split(",").some((item) => item.trim().toLowerCase() === word)

export interface Asked {
  readonly host: string
  readonly path: string
  /** With it permessage-deflate is offered, and this is asked of the server's messages. */
  readonly deflate: ReadonlyArray<Demand> | undefined
  readonly milliseconds: number
}

export interface Answered {
  readonly agreement: Agreement | undefined
  /** What came behind the answer. */
  readonly rest: Uint8Array
}

/** Asks as a client and checks the answer. RFC 6455 §4.1. */
export const request = async (socket: Socket, asked: Asked): Promise<Answered> => {
  const { host, path, deflate, milliseconds } = asked
  const key = randomBytes(16).toString("base64")
  const lines = [
    `GET ${path} HTTP/1.1`,
    "User-Agent: conformance",
    `Host: ${host}`,
    // Capitals where most clients write none: the value is case-insensitive, §4.2.1.
    "Upgrade: WebSocket",
    "Connection: Upgrade",
    "Pragma: no-cache",
    "Cache-Control: no-cache",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Version: 13",
    ...(deflate === undefined ? [] : [`Sec-WebSocket-Extensions: ${offer(deflate)}`])
  ]
  socket.write(`${lines.join("\r\n")}\r\n\r\n`)
  const head = await readHead(socket, milliseconds)
  demand(/^HTTP\/1\.1 101( |$)/.test(head.start), `the answer was ${head.start}`)
  demand(head.headers.get("upgrade")?.toLowerCase() === "websocket", "no Upgrade: websocket in the answer")
  demand(lists(head, "connection", "upgrade"), "no Connection: Upgrade in the answer")
  demand(head.headers.get("sec-websocket-accept") === acceptOf(key), "a wrong Sec-WebSocket-Accept")
  // What was not offered may not be chosen.
  const extensions = head.headers.get("sec-websocket-extensions")
  demand(extensions === undefined || deflate !== undefined, "an extension that was not offered")
  demand(!head.headers.has("sec-websocket-protocol"), "a subprotocol that was not offered")
  return { agreement: agreed(extensions, deflate ?? []), rest: head.rest }
}

export interface Requested {
  readonly path: string
  /** What permessage-deflate can be agreed on, with that asked of the client's messages. */
  readonly answer: (deflate: ReadonlyArray<Demand>) => Answer | undefined
  /** Says yes, without subprotocols, and with no extensions but these. */
  readonly accept: (extensions?: string) => void
  readonly rest: Uint8Array
}

/** Reads and checks what a client asks. RFC 6455 §4.2.1. */
export const requested = async (socket: Socket, milliseconds: number): Promise<Requested> => {
  const head = await readHead(socket, milliseconds)
  const [method, path = "", version] = head.start.split(" ")
  demand(method === "GET" && version === "HTTP/1.1", `the request was ${head.start}`)
  demand(head.headers.has("host"), "no Host")
  demand(head.headers.get("upgrade")?.toLowerCase() === "websocket", "no Upgrade: websocket")
  demand(lists(head, "connection", "upgrade"), "no Connection: Upgrade")
  demand(head.headers.get("sec-websocket-version") === "13", "not version 13")
  const key = head.headers.get("sec-websocket-key") ?? ""
  demand(Buffer.from(key, "base64").length === 16, "a key that is not 16 octets")
  return {
    path,
    rest: head.rest,
    answer: (deflate) => answer(head.headers.get("sec-websocket-extensions"), deflate),
    accept: (extensions) => {
      const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
      if (extensions !== undefined) lines.push(`Sec-WebSocket-Extensions: ${extensions}`)
      socket.write(`${lines.join("\r\n")}\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`)
    }
  }
}
