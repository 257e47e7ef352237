import { Buffer } from "node:buffer"
import type { Socket } from "node:net"
import { setImmediate as turn } from "node:timers/promises"
import { faultOf } from "../Fuzzer.js"
import { type Head, parse } from "../handshake.js"
import { encode, type Frame, FrameReader, type FrameSpec, Misconduct, Opcode } from "../wire.js"
import { demand, Problem } from "./BlindSpot.js"

/** The harness's own end of a connection, which does nothing by itself: it writes any octets, and gives what comes. */

/** How long a testee has for whatever is waited for, in milliseconds. */
export const PATIENCE = 10_000

/** What came until TCP was over. */
export interface Rest {
  /** All frames before the close frame. */
  readonly frames: ReadonlyArray<Frame>
  readonly close: { readonly code: number | undefined; readonly reason: string } | undefined
}

export class Peer {
  /** The reserved bits that an agreed extension owns: RSV1 is 4. */
  negotiated = 0
  readonly role: "client" | "server"
  readonly socket: Socket
  private readonly patience: number
  private readonly reader = new FrameReader()
  private bytes: Buffer = Buffer.alloc(0)
  private isFraming = false
  private hasClosed = false
  private ended: "end" | "reset" | undefined
  private looks: Array<() => void> = []

  /** @param patience multiplies the time that the testee has. */
  constructor(socket: Socket, role: "client" | "server", patience: number) {
    this.socket = socket.setNoDelay(true)
    this.role = role
    this.patience = PATIENCE * patience
    const end = (how: "end" | "reset") => () => {
      this.ended ??= how
      this.look()
    }
    socket.on("error", end("reset")).on("end", end("end")).on("close", end("end"))
    socket.on("data", (chunk) => {
      if (this.isFraming) this.reader.push(chunk)
      else this.bytes = Buffer.concat([this.bytes, chunk])
      this.look()
    })
  }

  // What it says

  write(bytes: Uint8Array | string): void {
    if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.write(bytes)
  }

  /** As frames of its role, in one write. */
  encode(frames: ReadonlyArray<FrameSpec>): Uint8Array {
    return Buffer.concat(frames.map((frame) => encode(frame, this.role === "client")))
  }

  send(...frames: ReadonlyArray<FrameSpec>): void {
    this.sendAll(frames)
  }

  /** For more frames than a call has room for. */
  sendAll(frames: ReadonlyArray<FrameSpec>): void {
    this.write(this.encode(frames))
  }

  /** In pieces of so many octets, with a turn of the event loop between them. */
  async chop(bytes: Uint8Array, size: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += size) {
      this.write(bytes.subarray(at, at + size))
      await turn()
    }
  }

  close(code: number, reason = ""): void {
    this.hasClosed = true
    this.send({ opcode: Opcode.Close, payload: Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]) })
  }

  /** Ends its side of the stream. */
  end(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  // What it hears

  /** The next head of HTTP; what follows it are frames, or a body. */
  head(): Promise<Head> {
    return this.when("a head of HTTP", () => {
      const end = this.bytes.indexOf("\r\n\r\n")
      if (end < 0) return undefined
      const head = parse(this.bytes.toString("latin1", 0, end), this.bytes.subarray(end + 4))
      this.bytes = this.bytes.subarray(end + 4)
      return head
    })
  }

  /** What follows a head until TCP is over. */
  async body(): Promise<string> {
    await this.over()
    return this.bytes.toString("utf8")
  }

  /** What comes now are frames. */
  startFraming(): void {
    this.isFraming = true
    this.reader.push(this.bytes)
    this.bytes = Buffer.alloc(0)
  }

  /** The next frame, checked for what no endpoint may send. */
  frame(what = "a frame"): Promise<Frame> {
    return this.when(what, () => this.next())
  }

  /** The next frame, which has to be this message or control frame. */
  async sees(opcode: number, payload: Uint8Array | string): Promise<void> {
    const bytes = Buffer.from(payload as string)
    const frame = await this.frame(`a frame of opcode ${opcode}`)
    const isIt = frame.opcode === opcode && frame.fin && Buffer.compare(frame.payload, bytes) === 0
    demand(isIt, `instead of ${show({ opcode, payload: bytes })} it sent ${show(frame)}`)
  }

  /** Sends a message and waits for its echo: the testee lives. */
  async echoes(text: string): Promise<void> {
    this.send({ opcode: Opcode.Text, payload: Buffer.from(text) })
    await this.sees(Opcode.Text, text)
  }

  /** The next message, whole. */
  async message(): Promise<Uint8Array> {
    const parts: Array<Uint8Array> = []
    for (;;) {
      const { fin, opcode, payload } = await this.frame("a message")
      demand(opcode <= (parts.length === 0 ? Opcode.Binary : 0), `inside a message it sent opcode ${opcode}`)
      parts.push(payload)
      if (fin) return parts.length === 1 ? payload : Buffer.concat(parts)
    }
  }

  /** Waits for the end of TCP, whatever comes before it, and says how it came. */
  over(): Promise<"end" | "reset"> {
    return this.when("the end of TCP", () => this.ended)
  }

  /**
   * Takes what still comes, answers a close frame as every endpoint does, and waits for the end of TCP. RFC 6455 §7.1.
   * Each frame before the close frame may be looked at as it comes.
   */
  async rest(look: (frame: Frame) => void = () => {}): Promise<Rest> {
    const frames: Array<Frame> = []
    for (;;) {
      const frame = await this.when<Frame | "over">("a close frame or the end of TCP", () => this.next() ?? this.gone())
      if (frame === "over") return { frames, close: undefined }
      if (frame.opcode === Opcode.Close) return { frames, close: await this.conclude(frame.payload) }
      look(frame)
      frames.push(frame)
    }
  }

  private async conclude(payload: Uint8Array): Promise<Rest["close"]> {
    demand(payload.length !== 1, "it sent a close frame of one octet")
    if (!this.hasClosed) {
      this.hasClosed = true
      this.send({ opcode: Opcode.Close, payload: payload.subarray(0, 2) })
    }
    // §7.1.1: the server ends TCP first.
    if (this.role === "server") this.end()
    const behind = await this.when<Frame | "over">(
      "the end of TCP behind the close frames",
      () => this.next() ?? this.gone()
    )
    demand(behind === "over", "it sent a frame behind its close frame")
    const code = payload.length === 0 ? undefined : Buffer.from(payload).readUInt16BE(0)
    return { code, reason: Buffer.from(payload.subarray(2)).toString() }
  }

  private gone(): "over" | undefined {
    return this.ended === undefined ? undefined : "over"
  }

  private next(): Frame | undefined {
    const frame = this.read()
    if (frame === undefined) return undefined
    const fault = faultOf(frame, this.role === "client", this.negotiated)
    demand(fault === undefined, `it sent ${fault}`)
    return frame
  }

  private read(): Frame | undefined {
    try {
      return this.reader.next()
    } catch (error) {
      if (error instanceof Misconduct) throw new Problem(`it sent ${error.message}`)
      throw error
    }
  }

  private look(): void {
    for (const look of this.looks.splice(0)) look()
  }

  /** Looks at what is there, and again whenever there is more. */
  private when<A>(what: string, check: () => A | undefined): Promise<A> {
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const settle = (done: () => void) => {
        clearTimeout(timer)
        done()
      }
      const look = () => {
        try {
          const found = check()
          if (found !== undefined) settle(() => resolve(found))
          else if (this.ended === undefined) this.looks.push(look)
          else settle(() => reject(new Problem(`it ended TCP (${this.ended}) instead of ${what}`)))
        } catch (error) {
          settle(() => reject(error))
        }
      }
      timer = setTimeout(() => {
        this.looks = this.looks.filter((other) => other !== look)
        reject(new Problem(`${what} did not come within ${this.patience} ms`))
      }, this.patience)
      look()
    })
  }
}

/** The text in a frame. */
export const textOf = ({ payload }: Pick<Frame, "payload">): string => Buffer.from(payload).toString("utf8")

export const show = ({ opcode, payload }: Pick<Frame, "opcode" | "payload">): string => {
  const bytes = Buffer.from(payload)
  const content = bytes.length > 16 ? `${bytes.toString("hex", 0, 16)}…` : bytes.toString("hex")
  return `opcode ${opcode} with ${bytes.length} octets (${content})`
}
