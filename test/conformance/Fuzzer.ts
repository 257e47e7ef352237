import { Buffer, isUtf8 } from "node:buffer"
import type { Socket } from "node:net"
import { type Event, fragments, type Message } from "./Case.js"
import type { Deflate, Place } from "./Deflate.js"
import { encode, type Frame, FrameReader, type FrameSpec, Misconduct, Opcode, RSV1 } from "./wire.js"

/** The harness's own end of a connection: it sends anything, checks all that comes, and remembers who did what. */

export interface Observation {
  /** Why the opening handshake did not finish. */
  readonly refused: string | undefined
  /** What the case is about was agreed on. */
  readonly isAgreed: boolean
  /** Without the echoes of round trips. */
  readonly events: ReadonlyArray<Event>
  /** Who sent the first close frame. */
  readonly closedBy: "fuzzer" | "testee" | undefined
  /** The testee's close frame, with its code if it has one. */
  readonly closeReceived: { readonly code: number | undefined } | undefined
  /** The fuzzer ended TCP where the testee had to, or gave up waiting. */
  readonly dropped: boolean
  /** What the testee sent that it must not send. */
  readonly fault: string | undefined
  /** How many parts of a slow message were out when the testee closed, or dropped TCP. */
  readonly partsSent: number
  readonly timedOut: boolean
  /** How many messages of round trips came back as they were. */
  readonly echoes: number
}

/** How long the testee has to answer a close frame and to drop TCP, in milliseconds. */
const GRACE = 1_000

/** RFC 6455 §7.4.1 and §7.4.2, with what IANA registered since: a close frame may say these. */
const mayBeSaid = (code: number): boolean =>
  (code >= 1000 && code <= 1011 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)

/** What is wrong with a frame by itself, where an extension owns these bits of messages. RFC 6455 §5.1, §5.2, §5.5. */
export const faultOf = (frame: Frame, isClient: boolean, negotiated = 0): string | undefined => {
  const isMasked = frame.key !== undefined
  if (isMasked === isClient) return isMasked ? "a masked frame of a server" : "an unmasked frame of a client"
  // RFC 7692 §6.1: they are for the first frame of a message.
  const owned = frame.opcode === Opcode.Text || frame.opcode === Opcode.Binary ? negotiated : 0
  if ((frame.rsv & ~owned) !== 0) return `reserved bits ${frame.rsv}`
  if (!frame.isMinimal) return "a length that is not minimal"
  if (frame.opcode > 10 || (frame.opcode > 2 && frame.opcode < 8)) return `the reserved opcode ${frame.opcode}`
  if (frame.opcode < 8) return undefined
  if (!frame.fin) return "a fragmented control frame"
  return frame.payload.length > 125 ? "a control frame over 125 octets" : undefined
}

export class Fuzzer {
  readonly events: Array<Event> = []
  /** Settles when TCP is over. */
  readonly ended: Promise<void>
  /** Called when an event came, or the testee closed. */
  onChange: () => void = () => {}
  partsSent = 0
  echoes = 0
  private readonly reader = new FrameReader()
  private readonly socket: Socket
  private readonly isClient: boolean
  private readonly grace: number
  private readonly deflate: Deflate | undefined
  private message:
    | { readonly opcode: number; readonly isCompressed: boolean; readonly parts: Array<Uint8Array> }
    | undefined
  private closedBy: "fuzzer" | "testee" | undefined
  private closeReceived: { readonly code: number | undefined } | undefined
  private partsAtEnd: number | undefined
  private dropped = false
  private fault: string | undefined
  private timedOut = false
  private timer: NodeJS.Timeout | undefined

  /**
   * @param deflate what was agreed on.
   * @param patience multiplies the time that the testee has to end.
   */
  constructor(
    socket: Socket,
    role: "client" | "server",
    early: Uint8Array,
    deflate: Deflate | undefined,
    patience: number
  ) {
    this.socket = socket
    this.deflate = deflate
    this.isClient = role === "client"
    this.grace = GRACE * patience
    this.ended = new Promise((resolve) => {
      const over = () => {
        clearTimeout(this.timer)
        this.partsAtEnd ??= this.partsSent
        resolve()
        this.onChange()
      }
      if (socket.destroyed) over()
      else socket.on("close", over)
    })
    socket.on("end", () => {
      this.partsAtEnd ??= this.partsSent
    })
    if (early.length > 0) this.read(early)
    socket.on("data", (chunk) => this.read(chunk))
    socket.resume()
  }

  /** Nothing more can come of sending. */
  get isOver(): boolean {
    return this.closeReceived !== undefined || this.socket.destroyed || this.socket.readableEnded
  }

  write(bytes: Uint8Array): void {
    if (!this.socket.destroyed && !this.socket.writableEnded) this.socket.write(bytes)
  }

  encode(frame: FrameSpec): Uint8Array {
    return encode(frame, this.isClient)
  }

  /** Sends a message of a row, compressed where that was agreed on. */
  send({ type, payload }: Message, place: Place, fragment = Number.POSITIVE_INFINITY): void {
    const opcode = type === "text" ? Opcode.Text : Opcode.Binary
    const message =
      this.deflate === undefined
        ? { opcode, payload }
        : { opcode, payload: this.deflate.compress(payload, place), rsv: RSV1 }
    this.write(Buffer.concat(fragments(message, fragment).map((frame) => this.encode(frame))))
  }

  /** The first message that has come and was not taken. */
  take(): Event | undefined {
    const at = this.events.findIndex(({ type }) => type === "text" || type === "binary")
    return at < 0 ? undefined : this.events.splice(at, 1)[0]
  }

  /** The testee did wrong. */
  fail(fault: string, code: number): void {
    this.fault ??= fault
    this.close(code)
  }

  /** From here on the closing handshake is ours. */
  beginClose(): void {
    if (this.closedBy !== undefined) return
    this.closedBy = "fuzzer"
    this.dropAfter(this.grace)
  }

  /** Closes, unless somebody has. */
  close(code: number): void {
    if (this.closedBy !== undefined || this.isOver) return
    this.write(this.encode({ opcode: Opcode.Close, payload: Buffer.of(code >> 8, code & 255) }))
    this.beginClose()
  }

  /** The testee has had its time. */
  giveUp(): void {
    if (!this.isOver) {
      this.timedOut = true
      this.close(1001)
    }
    // A testee that has ended its stream and reads no more.
    if (this.timer === undefined) this.dropAfter(this.grace)
  }

  destroy(): void {
    this.socket.destroy()
  }

  observation(): Observation {
    const { events, closedBy, closeReceived, dropped, echoes, fault, partsAtEnd, partsSent, timedOut } = this
    return {
      refused: undefined,
      isAgreed: true,
      events,
      closedBy,
      closeReceived,
      dropped,
      fault,
      partsSent: partsAtEnd ?? partsSent,
      timedOut,
      echoes
    }
  }

  private dropAfter(milliseconds: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.dropped = true
      this.socket.destroy()
    }, milliseconds)
  }

  private read(chunk: Uint8Array): void {
    this.reader.push(chunk)
    try {
      for (let frame = this.reader.next(); frame !== undefined; frame = this.reader.next()) this.receive(frame)
    } catch (error) {
      if (!(error instanceof Misconduct)) throw error
      this.fail(error.message, error.code)
    }
  }

  private receive(frame: Frame): void {
    if (this.fault !== undefined) return
    // §5.5.1: nothing follows a close frame.
    if (this.closeReceived !== undefined) throw new Misconduct("a frame behind the close frame")
    const fault = faultOf(frame, this.isClient, this.deflate === undefined ? 0 : RSV1)
    if (fault !== undefined) throw new Misconduct(fault)
    switch (frame.opcode) {
      case Opcode.Close:
        this.receiveClose(frame.payload)
        break
      case Opcode.Ping:
        this.write(this.encode({ opcode: Opcode.Pong, payload: frame.payload }))
        this.see({ type: "ping", payload: frame.payload })
        break
      case Opcode.Pong:
        this.see({ type: "pong", payload: frame.payload })
        break
      default:
        this.receiveData(frame)
    }
  }

  private receiveData(frame: Frame): void {
    // §5.4: fragments of a message, and nothing else, continue it.
    if ((frame.opcode === Opcode.Continuation) !== (this.message !== undefined)) {
      throw new Misconduct(this.message === undefined ? "a stray continuation" : "a message inside a message")
    }
    this.message ??= { opcode: frame.opcode, isCompressed: frame.rsv === RSV1, parts: [] }
    this.message.parts.push(frame.payload)
    if (!frame.fin) return
    const { opcode, isCompressed, parts } = this.message
    this.message = undefined
    const data = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    const payload = isCompressed && this.deflate !== undefined ? this.deflate.decompress(data) : data
    // §8.1
    if (opcode === Opcode.Text && !isUtf8(payload)) throw new Misconduct("text that is not UTF-8", 1007)
    this.see({ type: opcode === Opcode.Text ? "text" : "binary", payload })
  }

  private see(event: Event): void {
    this.events.push(event)
    this.onChange()
  }

  private receiveClose(payload: Uint8Array): void {
    // §5.5.1: two octets of code or none; §7.4.1: not every code may be said.
    if (payload.length === 1) throw new Misconduct("a close frame of one octet")
    const code = payload.length === 0 ? undefined : Buffer.from(payload).readUInt16BE(0)
    if (code !== undefined && !mayBeSaid(code)) throw new Misconduct(`the close code ${code}`)
    if (!isUtf8(payload.subarray(2))) throw new Misconduct("a close reason that is not UTF-8", 1007)
    this.closeReceived = { code }
    this.partsAtEnd ??= this.partsSent
    if (this.closedBy === undefined) {
      this.closedBy = "testee"
      this.write(this.encode({ opcode: Opcode.Close, payload: payload.subarray(0, 2) }))
    }
    // §7.1.1: the server ends TCP first.
    if (this.isClient) this.dropAfter(this.grace)
    else {
      this.socket.end()
      clearTimeout(this.timer)
      this.timer = setTimeout(() => this.socket.destroy(), this.grace)
    }
    this.onChange()
  }
}
