import { printable } from "./printable.js"
import * as CloseCode from "./protocol/CloseCode.js"
import * as Frame from "./protocol/Frame.js"
import * as header from "./protocol/frameHeader.js"
import * as mask from "./protocol/mask.js"
import * as utf8 from "./protocol/utf8.js"
import type { ByteStream } from "./Transport.js"

/** Each frame of a connection as a line for a person, as `< TEXT "Hello" [5 bytes]`: read off the bytes beside the connection. */

/** So much of a payload is shown, in bytes. */
export const SHOWN = 48

const longestHeader = 14

const names: Readonly<Record<number, string>> = {
  [Frame.Opcode.Continuation]: "CONTINUATION",
  [Frame.Opcode.Text]: "TEXT",
  [Frame.Opcode.Binary]: "BINARY",
  [Frame.Opcode.Close]: "CLOSE",
  [Frame.Opcode.Ping]: "PING",
  [Frame.Opcode.Pong]: "PONG"
}

/** In quotation marks, with the usual escapes, and all others that a terminal could obey. */
const quoted = (text: string): string => printable(JSON.stringify(text))

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ")

/** Bytes as text where they are text; without the character that was cut where they are the beginning of more. */
const shownText = (bytes: Uint8Array, isCut: boolean): string | undefined => {
  const end = bytes.length - (isCut ? utf8.incompleteTail(bytes, 0, bytes.length) : 0)
  const text = utf8.decode(bytes, 0, end)
  return text === undefined ? undefined : quoted(text)
}

/** One direction of a connection. */
class Line {
  private readonly sign: "<" | ">"
  private readonly masked: boolean
  private readonly write: (line: string) => void
  private readonly head = new Uint8Array(longestHeader)
  private headLength = 0
  private length = 0
  private missing = 0
  private shown: Array<number> = []
  /** What the peer breaks is the connection's to say; nothing can be read behind it. */
  private isLost = false

  constructor(sign: "<" | ">", masked: boolean, write: (line: string) => void) {
    this.sign = sign
    this.masked = masked
    this.write = write
  }

  read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.isLost; ) {
      at = this.missing > 0 ? this.takePayload(bytes, at) : this.takeHead(bytes, at)
    }
  }

  private takeHead(bytes: Uint8Array, at: number): number {
    this.head[this.headLength++] = bytes[at]!
    if (this.headLength < header.sizeOf(this.head, 0, this.headLength, this.masked)) return at + 1
    if (this.headLength < 2) return at + 1
    const length = header.readLength(this.head, 0)
    if (typeof length !== "number" || this.head[1]! >= 0x80 !== this.masked) {
      this.isLost = true
      return at + 1
    }
    this.length = length
    this.missing = length
    if (length === 0) this.end()
    return at + 1
  }

  private takePayload(bytes: Uint8Array, at: number): number {
    const size = Math.min(this.missing, bytes.length - at)
    for (let i = 0; i < size && this.shown.length < SHOWN; i++) this.shown.push(bytes[at + i]!)
    this.missing -= size
    if (this.missing === 0) this.end()
    return at + size
  }

  private end(): void {
    const first = this.head[0]!
    const payload = Uint8Array.from(this.shown)
    if (this.masked) mask.xor(payload, 0, payload.length, header.readUint32(this.head, this.headLength - 4), 0)
    const frame = { fin: first >= 0x80, rsv: (first >> 4) & 7, opcode: first & 0x0f, payload }
    this.headLength = 0
    this.shown = []
    this.write(`${this.sign} ${describe(frame, this.length)}`)
  }
}

/** A frame whose payload, or the beginning of it, is there. */
export const describe = (
  { fin, opcode, payload, rsv }: Omit<Frame.Frame, "opcode"> & { readonly opcode: number },
  length: number,
  remark = ""
): string => {
  const isCut = length > payload.length
  const parts = [
    names[opcode] ?? `OPCODE ${opcode}`,
    contentOf(opcode, payload, rsv !== 0, isCut) + (isCut ? " …" : ""),
    `[${length} bytes${rsv === 0 ? "" : `, RSV ${rsv}`}${fin ? "" : ", continued"}${remark}]`
  ]
  return parts.filter((part) => part !== "").join(" ")
}

const contentOf = (opcode: number, payload: Uint8Array, isEncoded: boolean, isCut: boolean): string => {
  if (payload.length === 0) return ""
  if (opcode === Frame.Opcode.Close && payload.length >= 2) {
    const code = (payload[0]! << 8) | payload[1]!
    const reason = payload.length > 2 ? ` ${shownText(payload.subarray(2), isCut) ?? hex(payload.subarray(2))}` : ""
    return `${code} (${CloseCode.name(code)})${reason}`
  }
  const isText = opcode !== Frame.Opcode.Binary && !isEncoded
  return (isText ? shownText(payload, isCut) : undefined) ?? hex(payload.subarray(0, SHOWN / 3))
}

/** The same stream, whose frames are told to `write`. */
export const traced = (stream: ByteStream, role: Frame.Role, write: (line: string) => void): ByteStream => {
  const received = new Line("<", role === "server", write)
  const sent = new Line(">", role === "client", write)
  return {
    attach: (sink) =>
      stream.attach({
        data: (bytes) => {
          // Before it is read, since reading unmasks it where it lies.
          received.read(bytes)
          sink.data(bytes)
        },
        end: () => sink.end(),
        drain: () => sink.drain(),
        closed: (error) => sink.closed(error)
      }),
    write: (bytes) => {
      sent.read(bytes)
      return stream.write(bytes)
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    bufferedAmount: () => stream.bufferedAmount(),
    end: () => stream.end(),
    destroy: () => stream.destroy(),
    remoteAddress: () => stream.remoteAddress(),
    localAddress: () => stream.localAddress()
  }
}
