import net from "node:net"
import tls from "node:tls"
import { readCertificate } from "../certificate.js"
import { masked } from "../frames.js"
import type { Fault, FromLoad } from "../messages.js"
import { acceptOf, fieldOf, requestHead } from "../upgrade.js"

/** One connection of the load generator: raw TCP with a real opening handshake, whose answer is checked. */
export interface Link {
  readonly socket: net.Socket
  /** Takes what has arrived, the first bytes of `received`. */
  receive: (length: number) => void
  /** The end of the connection: an accident unless somebody waits for it. */
  ended: (reason: string) => void
}

/** One buffer for all connections: what arrives in it is dealt with before the next read. */
export const received = Buffer.allocUnsafe(256 * 1024)

export class LoadError extends Error {
  readonly fault: Fault

  constructor(fault: Fault, message: string) {
    super(message)
    this.fault = fault
  }
}

export const report = (message: FromLoad): void => {
  process.send?.(message)
}

let failed = false

/** The first fault is the cause, the others follow from it. */
export const fail = (fault: Fault, reason: string): void => {
  if (failed) return
  failed = true
  report({ _tag: "Failed", fault, reason })
}

const host = "127.0.0.1"
const stallTimeout = 5_000

/** Fails when a count stays what it is although something is due. */
export const watch = (count: () => number, due: () => string): NodeJS.Timeout => {
  let seen = -1
  return setInterval(() => {
    if (count() === seen) fail("Stalled", `nothing for ${stallTimeout} ms: ${seen} done, ${due()}`)
    seen = count()
  }, stallTimeout)
}

// A key is good for any number of handshakes: it is there against caches, not against us.
const key = "dGhlIHNhbXBsZSBub25jZQ=="
const accept = acceptOf(key)

export interface LinkOptions {
  readonly port: number
  readonly tls?: boolean
  /** What is offered; a server has to agree to all of it, and may add to it where `mayAdd` is set. */
  readonly extension?: string
  readonly mayAdd?: boolean
}

const sorted = (extension: string | undefined): ReadonlyArray<string> => (extension ?? "").split(/; */).sort()

/** §4.2.2 */
const isRight = (head: string, { extension, mayAdd }: LinkOptions): boolean => {
  const agreed = sorted(fieldOf(head, "sec-websocket-extensions"))
  const offered = sorted(extension)
  const isAgreed = mayAdd ? offered.every((part) => agreed.includes(part)) : agreed.join() === offered.join()
  return head.startsWith("HTTP/1.1 101 ") && fieldOf(head, "sec-websocket-accept") === accept && isAgreed
}

let certificate: string | undefined

const trusted = (): string => {
  certificate ??= readCertificate().cert
  return certificate
}

const connect = (options: LinkOptions, callback: (length: number) => void): net.Socket => {
  const onread = {
    buffer: received,
    callback: (length: number) => {
      callback(length)
      return true
    }
  }
  const to = { host, port: options.port, noDelay: true, onread }
  return options.tls ? tls.connect({ ...to, servername: "localhost", ca: trusted() }) : net.connect(to)
}

/** §4.1: asks for the upgrade; completes when it is granted. */
export const openLink = (options: LinkOptions): Promise<Link> =>
  new Promise((resolve, reject) => {
    const { extension, port } = options
    let head = ""
    const readHead = (length: number): void => {
      head += received.toString("latin1", 0, length)
      const end = head.indexOf("\r\n\r\n")
      if (end < 0) return
      if (!isRight(head, options) || end + 4 !== head.length) {
        reject(new LoadError("WrongReply", `the upgrade was answered with ${JSON.stringify(head)}`))
        return
      }
      link.ended = (reason) => fail("Disconnected", reason)
      resolve(link)
    }
    const socket = connect(options, (length) => link.receive(length))
    const link: Link = {
      socket,
      receive: readHead,
      ended: (reason) => reject(new LoadError("Disconnected", reason))
    }
    let last = "the server ended a connection"
    socket.on("error", (error) => {
      last = `connection: ${error.message}`
    })
    socket.on("close", () => link.ended(last))
    socket.write(requestHead(`${host}:${port}`, key, extension))
  })

/** All at once would measure the listen backlog. */
const atATime = 32

export const openLinks = async (count: number, open: () => Promise<Link>): Promise<ReadonlyArray<Link>> => {
  const links: Array<Link> = []
  const timer = watch(
    () => links.length,
    () => `${count} connections asked for`
  )
  let left = count
  const worker = async () => {
    while (left > 0) {
      left--
      links.push(await open())
    }
  }
  await Promise.all(Array.from({ length: atATime }, worker))
  clearInterval(timer)
  return links
}

/** What a server that wants to know whether anybody is there is told. §5.5.3. */
export const answerPing = ({ socket }: Link, payload: Buffer): void => void socket.write(masked(0x8a, payload))
