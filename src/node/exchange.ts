import { type IncomingMessage, ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import { type Duplex, Readable } from "node:stream"
import type { ReadableStream as WebStream } from "node:stream/web"
import { TLSSocket } from "node:tls"
import { Calls } from "../calls.js"
import type { HeaderList, ResponseHead } from "../protocol/Handshake.js"
import type { ByteStream, Exchange, Request, Response } from "../Transport.js"
import { NodeByteStream, remoteAddressOf } from "./byteStream.js"

/** One HTTP/1.1 exchange of node's as the port has it. */

const pairs = (raw: ReadonlyArray<string>): HeaderList => {
  const headers: Array<readonly [string, string]> = []
  for (let i = 0; i + 1 < raw.length; i += 2) headers.push([raw[i]!, raw[i + 1]!])
  return headers
}

/** Raw, since node joins some repeated headers and drops others. */
export const headersOf = (message: Pick<IncomingMessage, "rawHeaders">): HeaderList => pairs(message.rawHeaders)

const requestOf = (message: IncomingMessage, socket: Socket): Request => ({
  method: message.method ?? "",
  target: message.url ?? "",
  version: message.httpVersion === "1.0" ? "1.0" : "1.1",
  headers: headersOf(message),
  peer: { secure: socket instanceof TLSSocket, remote: remoteAddressOf(socket) }
})

const formatHead = ({ status, headers }: ResponseHead): string => {
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`
  return `${head}\r\n`
}

const isNamed = (name: string) => (header: readonly [string, string]) => header[0].toLowerCase() === name

/** Says how long a body is that is there as a whole, and that the connection ends where it does. */
const complete = ({ headers, body }: Response, keepsAlive: boolean): HeaderList => {
  const all = keepsAlive
    ? [...headers]
    : // node takes any word about the connection, as 426 needs one, for the last.
      headers.map((header) => (isNamed("connection")(header) ? ([header[0], `${header[1]}, close`] as const) : header))
  const isWhole = typeof body === "string" || body instanceof Uint8Array
  if (isWhole && !headers.some(isNamed("content-length")) && !headers.some(isNamed("transfer-encoding"))) {
    all.push(["Content-Length", String(Buffer.byteLength(body))])
  }
  return all
}

const writeResponse = (response: ServerResponse, answer: Response): void => {
  const { status, body } = answer
  if (answer.isLast === true) response.shouldKeepAlive = false
  try {
    response.writeHead(status, complete(answer, response.shouldKeepAlive).flat())
  } catch {
    // A header that HTTP cannot carry, from a hook: the peer learns nothing of it.
    response.writeHead(500)
    response.end()
    return
  }
  if (body instanceof ReadableStream) {
    const readable = Readable.fromWeb(body as WebStream<Uint8Array>)
    readable.on("error", () => response.destroy())
    response.on("close", () => readable.destroy())
    readable.pipe(response)
  } else {
    response.end(body)
  }
}

const closing = new WeakMap<Duplex, Calls>()

/**
 * Calls when a socket is closed, which node does not tell answers behind the
 * first; by one listener, however many they are. Gives what takes it back.
 */
const onClosed = (socket: Duplex, call: () => void): (() => void) => {
  if (socket.closed) call()
  let calls = closing.get(socket)
  if (calls === undefined) {
    const all = new Calls()
    calls = all
    closing.set(socket, all)
    socket.once("close", () => all.run())
  }
  return calls.add(call)
}

/** Milliseconds that an answer may take to leave, or go without any of it leaving: nothing else ends the connection of a peer that does not read it. */
export const answerTime = 10_000

/** A request that asks for no upgrade: the connection may be used again after an answer that is not the last. */
export const plain = (message: IncomingMessage, response: ServerResponse): Exchange => {
  const { socket } = message
  // Without a listener node cuts the socket. Also called where the source of this answer, or of the one before it on the
  // same socket, has nothing to say for a while.
  response.on("timeout", () => {
    if (socket.writableLength > 0) socket.destroy()
  })
  return {
    request: requestOf(message, socket),
    isUpgrade: false,
    accept: () => {
      throw new Error("a request that asks for no upgrade cannot be accepted")
    },
    respond: (answer) => {
      if (response.destroyed || response.headersSent) return
      // What is served may be any Duplex, which knows no time: it is its owner's to end.
      if (typeof socket.setTimeout === "function") response.setTimeout(answerTime)
      writeResponse(response, answer)
    },
    onSent: (sent) => {
      const takeBack = onClosed(socket, sent)
      response.on("close", () => {
        takeBack()
        sent()
      })
    },
    abort: () => {
      socket.destroy()
    },
    onAbort: (gone) => {
      response.on("close", () => {
        if (!response.writableFinished) gone()
      })
    }
  }
}

/** The answers that a socket still owes: node parts a pipelined upgrade from its HTTP before they are written. */
const owed = new WeakMap<Duplex, number>()

/** Counts a request until its answer is over. */
export const track = (message: IncomingMessage, response: ServerResponse): void => {
  const { socket } = message
  owed.set(socket, (owed.get(socket) ?? 0) + 1)
  response.on("close", () => owed.set(socket, (owed.get(socket) ?? 1) - 1))
}

/** Whether bytes of an earlier answer may still follow on a socket, so that nothing of ours may come before them. */
export const isAnswering = (socket: Duplex): boolean => (owed.get(socket) ?? 0) > 0

/** The answer to a request that node has parted from its HTTP; the connection ends behind it. */
export interface Parted {
  readonly response: ServerResponse
  /** Takes the socket back, for an upgrade: nothing that is written from now on leaves. */
  readonly release: () => void
}

export const parted = (message: IncomingMessage, socket: Socket): Parted => {
  const response = new ServerResponse(message)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  // Node has taken its own listener off the socket, and a larger body waits for this.
  const onDrain = () => void response.emit("drain")
  socket.on("drain", onDrain)
  const release = () => {
    socket.off("drain", onDrain)
    response.detachSocket(socket)
  }
  response.on("finish", () => {
    release()
    // What the peer still sends is read: unread, it would make the system drop our answer with a reset.
    socket.resume()
    socket.end(() => socket.destroy())
    response.emit("close")
  })
  return { response, release }
}

/** A request that node has parted from its HTTP: the socket is ours, with what came behind the request. */
export const upgrade = (message: IncomingMessage, socket: Socket, head: Uint8Array): Exchange => {
  // Here its error listener is attached: a reset from now on is a value.
  const stream = new NodeByteStream(socket, head)
  return {
    request: requestOf(message, socket),
    isUpgrade: true,
    accept: (response): ByteStream => {
      if (!socket.destroyed) socket.write(formatHead(response), "latin1")
      return stream
    },
    respond: (answer) => {
      if (socket.destroyed) return
      const { response } = parted(message, socket)
      const timer = setTimeout(() => socket.destroy(), answerTime)
      socket.once("close", () => clearTimeout(timer))
      writeResponse(response, answer)
    },
    onSent: (sent) => void onClosed(socket, sent),
    abort: () => {
      socket.destroy()
    },
    onAbort: (gone) => stream.watch(gone)
  }
}
