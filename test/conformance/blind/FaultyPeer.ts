import { Buffer } from "node:buffer"
import type { Socket } from "node:net"
import { encode, type Frame, FrameReader, Misconduct, Opcode } from "../wire.js"
import { numbered, type Report, type Task } from "./Testee.js"

/** A small testee of the harness's own, of either role, that can be told to get one thing wrong: what scenarios have to notice. */

export interface Faults {
  /** What is malformed and not understood it takes all the same. */
  readonly opensAlways: boolean
  /** Refuses without a word. */
  readonly saysNothing: boolean
  /** Leaves TCP open behind a refusal. */
  readonly keepsTcp: boolean
  /** Serves nobody any more once it has refused somebody. */
  readonly givesUp: boolean
  /** Waits for a handshake as long as it takes. */
  readonly waitsForEver: boolean
  /** Loses what comes together with the end of a handshake. */
  readonly losesGlued: boolean
  /** Does not notice that a peer has gone. */
  readonly missesEnds: boolean
  readonly ignoresMasking: boolean
  /** Its masking keys are all the same, or count up. */
  readonly keys: "constant" | "counting"
  readonly ignoresLengthForms: boolean
  readonly ignoresTopBit: boolean
  /** Looks at limits when the payload is there. */
  readonly limitsLate: boolean
  /** Takes an octet more than the limit, or one less. */
  readonly limitOff: 1 | -1
  readonly countsNoFragments: boolean
  /** Knows the close codes of RFC 6455 only. */
  readonly oldCodes: boolean
  readonly anyCode: boolean
  readonly ignoresCloseTimeout: boolean
  /** Goes on behind its own close frame. */
  readonly echoesBehindClose: boolean
  readonly ignoresReservedBits: boolean
  /** Fails before what came earlier is dealt with. */
  readonly failsFirst: boolean
  /** Reads on and keeps everything. */
  readonly neverPauses: boolean
  /** Loses one message in a thousand. */
  readonly losesMessages: boolean
  /** Changes an octet in the middle of messages over 2 MiB. */
  readonly corrupts: boolean
  /** Writes on, whether the peer reads or not. */
  readonly neverWaits: boolean
  /** Keeps every pong. */
  readonly keepsPongs: boolean
}

/** What may wait, in octets, each way. */
const MARK = 262_144

const LIMIT = 1_048_576
const FRAGMENTS = 16_384
const CLOSE_TIMEOUT = 10_000

type Item = { readonly opcode: number; readonly payload: Uint8Array } | { readonly code: number }

const codeBytes = (code: number | undefined): Uint8Array =>
  code === undefined ? new Uint8Array(0) : Buffer.of(code >> 8, code & 255)

const isText = (payload: Uint8Array): boolean => Buffer.from(Buffer.from(payload).toString("utf8")).equals(payload)

export class FaultyPeer {
  private readonly socket: Socket
  private readonly isClient: boolean
  private readonly faults: Partial<Faults>
  private readonly task: Task
  private readonly report: Report
  private readonly reader = new FrameReader()
  private message: { readonly opcode: number; readonly parts: Array<Uint8Array>; size: number } | undefined
  /** What the program has not dealt with yet, in order. */
  private readonly queue: Array<Item> = []
  private queued = 0
  private isLet: boolean
  private lastPong: Uint8Array | undefined
  private sent: number | undefined
  private received: number | undefined
  private cause: string | undefined
  private hasFailed = false
  private timer: NodeJS.Timeout | undefined
  private frames = 0

  constructor(socket: Socket, isClient: boolean, task: Task, faults: Partial<Faults>, report: Report) {
    this.socket = socket
    this.isClient = isClient
    this.task = task
    this.faults = faults
    this.report = report
    const { does } = task
    this.isLet = !(does?._tag === "Echo" && does.after !== undefined)
    report.opened++
    report.buffered = () => socket.writableLength
    socket.on("drain", () => this.drained())
    socket.on("close", () => this.ended())
  }

  /** @param early what came together with the end of the handshake. */
  start(early: Uint8Array): void {
    const { does } = this.task
    if (does?._tag === "Echo") void does.after?.then(() => this.let())
    if (does?._tag === "Close" && does.when === "at once") this.close(does.code)
    if (does?._tag === "Send") this.sendOn(does.count, does.size)
    if (this.faults.losesGlued !== true) this.read(early)
    this.socket.on("data", (chunk) => this.read(chunk))
    this.socket.resume()
  }

  private let(): void {
    this.isLet = true
    this.work()
  }

  private sendOn(count: number, size: number): void {
    while (this.report.sent < count) {
      const hasRoom = this.send(Opcode.Binary, numbered(this.report.sent++, size))
      if (hasRoom || this.faults.neverWaits === true) continue
      this.socket.once("drain", () => this.sendOn(count, size))
      return
    }
  }

  private send(opcode: number, payload: Uint8Array): boolean {
    const { keys } = this.faults
    const number = keys === "counting" ? ++this.frames : 7
    const maskingKey = this.isClient && keys !== undefined ? { maskingKey: Buffer.of(1, 2, number >> 8, number) } : {}
    if (!this.socket.writable) return true
    return this.socket.write(encode({ opcode, payload, ...maskingKey }, this.isClient))
  }

  private read(chunk: Uint8Array): void {
    this.reader.push(chunk)
    try {
      for (let frame = this.reader.next(); frame !== undefined; frame = this.reader.next()) this.receive(frame)
      const { announced } = this.reader
      if (announced !== undefined && this.faults.limitsLate !== true) this.checkSize(announced)
    } catch (error) {
      if (!(error instanceof Misconduct)) throw error
      if (error.message.includes("2^63") && this.faults.ignoresTopBit === true) return
      this.fail(error.code)
    }
    this.work()
  }

  /** A violation takes its place behind what came before it. */
  private fail(code: number): void {
    if (this.hasFailed) return
    this.hasFailed = true
    this.cause ??= "a violation"
    if (this.faults.failsFirst === true) this.queue.length = 0
    this.queue.push({ code })
    this.work()
  }

  private checkSize(length: number): void {
    const limit = (this.task.maxMessageSize ?? LIMIT) + (this.faults.limitOff ?? 0)
    if ((this.message?.size ?? 0) + length > limit) throw new Misconduct("too large", 1009)
  }

  private receive(frame: Frame): void {
    const { faults } = this
    if (this.hasFailed || this.received !== undefined) return
    if ((frame.key === undefined) !== this.isClient && faults.ignoresMasking !== true) throw new Misconduct("mask")
    if (!frame.isMinimal && faults.ignoresLengthForms !== true) throw new Misconduct("length")
    if (frame.rsv !== 0 && faults.ignoresReservedBits !== true) throw new Misconduct("bits")
    switch (frame.opcode) {
      case Opcode.Continuation:
      case Opcode.Text:
      case Opcode.Binary:
        this.receiveData(frame)
        break
      case Opcode.Ping:
        if (this.sent === undefined) this.pong(frame.payload)
        break
      case Opcode.Pong:
        break
      case Opcode.Close:
        this.receiveClose(frame.payload)
        break
      default:
        throw new Misconduct("opcode")
    }
  }

  private pong(payload: Uint8Array): void {
    if (this.socket.writableLength > MARK && this.faults.keepsPongs !== true) this.lastPong = payload
    else this.send(Opcode.Pong, payload)
  }

  private receiveData({ fin, opcode, payload }: Frame): void {
    if ((opcode === Opcode.Continuation) !== (this.message !== undefined)) throw new Misconduct("continuation")
    this.message ??= { opcode, parts: [], size: 0 }
    const { message } = this
    this.checkSize(payload.length)
    message.parts.push(payload)
    message.size += payload.length
    const limit = this.task.maxFragments ?? FRAGMENTS
    if (message.parts.length > limit && this.faults.countsNoFragments !== true) throw new Misconduct("fragments", 1008)
    if (!fin) return
    this.message = undefined
    const whole = Buffer.concat(message.parts)
    if (message.opcode === Opcode.Text && !isText(whole)) throw new Misconduct("UTF-8", 1007)
    if (this.sent !== undefined && this.faults.echoesBehindClose !== true) return
    this.queue.push({ opcode: message.opcode, payload: whole })
    this.queued += whole.length
  }

  private receiveClose(payload: Uint8Array): void {
    const { faults } = this
    if (payload.length === 1) throw new Misconduct("close")
    const code = payload.length === 0 ? undefined : Buffer.from(payload).readUInt16BE(0)
    const highest = faults.oldCodes === true ? 1011 : 1014
    const isCode =
      code === undefined ||
      (code >= 1000 && code <= highest && (code < 1004 || code > 1006)) ||
      (code >= 3000 && code <= 4999)
    if (!isCode && faults.anyCode !== true) throw new Misconduct("close code")
    this.received = code ?? 1005
    this.close(code)
    if (!this.isClient) this.socket.end()
  }

  /** Deals with what has come, as long as there is room for what comes of it. */
  private work(): void {
    while (this.isLet && this.queue.length > 0 && (!this.socket.writableNeedDrain || this.faults.neverWaits === true)) {
      const item = this.queue.shift()!
      if ("code" in item) {
        this.close(item.code)
        this.socket.end()
        return
      }
      this.queued -= item.payload.length
      this.take(item.opcode, item.payload)
    }
    if (this.queued > MARK && this.faults.neverPauses !== true) this.socket.pause()
    else if (this.socket.isPaused()) this.socket.resume()
  }

  private take(opcode: number, payload: Uint8Array): void {
    const { faults, task } = this
    this.report.taken++
    if (task.does?._tag === "Close") this.close(task.does.code)
    if (this.sent !== undefined && faults.echoesBehindClose !== true) return
    if (faults.losesMessages === true && this.report.taken % 1_000 === 0) return
    if (faults.corrupts === true && payload.length > 2 ** 21) payload[2 ** 20]! ^= 1
    this.send(opcode, payload)
  }

  private drained(): void {
    const pong = this.lastPong
    this.lastPong = undefined
    if (pong !== undefined) this.send(Opcode.Pong, pong)
    this.work()
  }

  private close(code: number | undefined): void {
    if (this.sent !== undefined) return
    this.send(Opcode.Close, codeBytes(code))
    this.sent = code ?? 1005
    if (this.faults.ignoresCloseTimeout === true) return
    this.timer = setTimeout(
      () => {
        this.cause ??= "time"
        this.socket.destroy()
      },
      Number(this.task.closeTimeout ?? CLOSE_TIMEOUT)
    )
  }

  private ended(): void {
    clearTimeout(this.timer)
    if (this.faults.missesEnds === true) return
    const { received, sent } = this
    const isClosed = sent !== undefined && received !== undefined
    this.cause ??= isClosed ? undefined : "the end of the stream"
    this.report.end({ isClean: isClosed, code: received ?? 1006, sent, received, cause: this.cause })
  }
}
