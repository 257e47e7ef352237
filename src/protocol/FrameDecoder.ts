import { Assembly } from "./assembly.js"
import * as CloseCode from "./CloseCode.js"
import * as Extension from "./Extension.js"
import * as Frame from "./Frame.js"
import * as header from "./frameHeader.js"
import * as mask from "./mask.js"
import { checkSize, checkText, type Limits } from "./messageLimits.js"
import { copyOf } from "./native.js"
import type { Receiver } from "./receiver.js"
import { Suspension } from "./suspension.js"
import * as utf8 from "./utf8.js"

/**
 * Bytes in, messages and control frames out.
 *
 * All frames of a chunk are read in one pass. Payloads are unmasked where they
 * lie; text is decoded straight out of the chunk; binary payloads and what is
 * not complete yet are copied out, so the chunk's memory may be used again as
 * soon as `decode` returns. No sequence of bytes makes it throw.
 *
 * @see RFC 6455 §5
 */

export { defaultLimits, type Limits } from "./messageLimits.js"
export type { Receiver } from "./receiver.js"

export interface Options {
  /** Our end: what a server reads is masked, what a client reads is not. RFC 6455 §5.1. */
  readonly role: Frame.Role
  readonly receiver: Receiver
  /** The agreed extensions, in order. */
  readonly codecs?: ReadonlyArray<Extension.Codec> | undefined
}

/** The longest header: two bytes, eight of length, four of masking key. */
const MAX_HEADER = 14

/** Instead of an offset: nothing more is read. */
const FAILED = -1

/** Of all decoders that never keep anything: only extensions make one. */
const never = new Suspension()

const notUtf8 = Frame.violation(CloseCode.InvalidFramePayloadData, "text message that is not UTF-8")

export class FrameDecoder {
  private readonly masked: boolean
  private readonly receiver: Receiver
  private readonly limits: Limits
  private readonly codecs: ReadonlyArray<Extension.Codec>
  private readonly rsvBits: number

  /** A header that the end of a chunk cut; made when that first happens. */
  private cut: Uint8Array | undefined
  private cutLength = 0

  /** The frame whose payload is arriving: how much of it is missing, and its masking key. */
  private missing = 0
  private inPayload = false
  private opcode = 0
  private fin = false
  private rsv = 0
  private length = 0
  private key = 0

  /** The data message that is arriving, and the control frame that is. */
  private message: Assembly | undefined
  private control: Uint8Array | undefined
  /** How often the message has been continued. */
  private fragments = 0

  private inFragments = false
  /** Whether a part of the current message has been handed over. */
  private handedOver = false
  private discarding = false
  private readonly suspension: Suspension
  private ended = false
  private failed: Frame.Violation | undefined

  /** Limits are the same object for all connections that have the same, and stand in none. */
  constructor(options: Options, limits: Limits) {
    this.masked = options.role === "server"
    this.receiver = options.receiver
    this.limits = limits
    this.codecs = options.codecs ?? []
    this.suspension = this.codecs.length > 0 ? new Suspension() : never
    this.rsvBits = Extension.reservedBits(this.codecs) ?? 0
  }

  /** Whether a message has begun and is not complete. */
  get isPartial(): boolean {
    if (this.ended || this.isSuspended) return false
    return this.message !== undefined || this.inPayload || this.cutLength > 0
  }

  /** Whether what comes is kept, so that nothing overtakes what came before. */
  get isSuspended(): boolean {
    return this.suspension.isOn
  }

  /** Whether that is for an extension that takes its time, and not for a receiver that is full. */
  get isDecoding(): boolean {
    return this.suspension.isDecoding
  }

  /** Nothing will be read any more; what extensions hold for this connection is freed by whoever made them. */
  end(): void {
    this.ended = true
    this.suspension.end()
    this.message = undefined
  }

  /** From now on data is checked and counted, but neither kept nor handed over: our close frame is out. RFC 6455 §5.5.1. */
  discard(): void {
    this.discarding = true
    this.message?.drop()
  }

  /** Hands over the message that is arriving, or else the next one, in fragments as they come. */
  receiveFragments(): void {
    this.inFragments = true
    const { message } = this
    // What an extension has encoded is handed over whole, once it is decoded.
    if (message !== undefined && !message.isEncoded && !this.discarding) this.handOver(message, false)
  }

  /** Takes `receiveFragments` back; false when a part has been handed over already, and the rest will be. */
  receiveWhole(): boolean {
    if (this.inFragments && this.handedOver) return false
    this.inFragments = false
    return true
  }

  /** Reads a chunk, which is ours to change until this returns; after a violation or a close frame nothing is read any more. */
  decode(chunk: Uint8Array): Frame.Violation | undefined {
    if (!this.isSuspended) return this.read(chunk)
    this.suspension.push(chunk)
    return undefined
  }

  /** Goes on with what was kept: an extension is done, or the receiver has room again. */
  proceed(): Frame.Violation | undefined {
    if (!this.isSuspended || this.isDecoding) return undefined
    const { suspension } = this
    suspension.replay(
      ({ isText, payload }) => {
        this.inFragments = false
        // It was complete before a close frame of ours left, and so is owed.
        return this.deliverDecoded(payload, isText, false) !== FAILED
      },
      (chunk) => {
        if (this.isReceiverFull()) suspension.begin(chunk, 0)
        else this.read(chunk)
      }
    )
    return this.failed
  }

  private read(chunk: Uint8Array): Frame.Violation | undefined {
    let at = 0
    const end = chunk.length
    while (at < end && !this.ended) {
      if (this.inPayload) {
        at = this.takePayload(chunk, at, end)
      } else if (this.cutLength > 0) {
        at = this.completeHeader(chunk, at, end)
      } else {
        at = this.takeFrame(chunk, at, end)
      }
      if (at < 0) return this.failed
    }
    return undefined
  }

  private fail(violation: Frame.Violation): typeof FAILED {
    this.ended = true
    this.failed = violation
    this.message = undefined
    this.control = undefined
    return FAILED
  }

  /** Reads a frame that begins at an offset; returns where the next one begins, or -1 after a violation. */
  private takeFrame(bytes: Uint8Array, at: number, end: number): number {
    const size = header.sizeOf(bytes, at, end, this.masked)
    if (at + size > end) {
      // What is there of a header can already be wrong, and a peer may wait for our answer before it sends the rest.
      if (end - at >= 2) {
        const violation = this.checkStart(bytes[at]!, bytes[at + 1]!)
        if (violation !== undefined) return this.fail(violation)
      }
      this.cut ??= new Uint8Array(MAX_HEADER)
      this.cut.set(bytes.subarray(at, end))
      this.cutLength = end - at
      return end
    }
    const violation = this.readHeader(bytes, at, size)
    if (violation !== undefined) return this.fail(violation)
    return this.takePayload(bytes, at + size, end)
  }

  /** Adds bytes to a header that was cut until it is whole. */
  private completeHeader(bytes: Uint8Array, from: number, end: number): number {
    const cut = this.cut!
    let at = from
    while (at < end) {
      cut[this.cutLength++] = bytes[at++]!
      const size = header.sizeOf(cut, 0, this.cutLength, this.masked)
      if (this.cutLength === 2) {
        const violation = this.checkStart(cut[0]!, cut[1]!)
        if (violation !== undefined) return this.fail(violation)
      }
      if (this.cutLength < size) continue
      this.cutLength = 0
      const violation = this.readHeader(cut, 0, size)
      if (violation !== undefined) return this.fail(violation)
      // The payload may be empty, and then no further byte brings us here.
      return this.takePayload(bytes, at, end)
    }
    return at
  }

  /** What the first two bytes of a frame must satisfy, where this message and these extensions are. */
  private checkStart(first: number, second: number): Frame.Violation | undefined {
    return header.check(first, second, this.masked, this.message !== undefined, this.rsvBits)
  }

  /** Reads a whole header and gets ready for its payload. */
  private readHeader(bytes: Uint8Array, at: number, size: number): Frame.Violation | undefined {
    const first = bytes[at]!
    const second = bytes[at + 1]!
    const violation = this.checkStart(first, second)
    if (violation !== undefined) return violation
    const length = header.readLength(bytes, at)
    if (typeof length !== "number") return length
    this.opcode = first & 0x0f
    this.fin = first >= 0x80
    this.length = length
    this.missing = length
    this.key = this.masked ? header.readUint32(bytes, at + size - 4) : 0
    this.inPayload = true
    return Frame.isControl(this.opcode) ? undefined : this.begin((first >>> 4) & 0x07)
  }

  /** Opens or continues a message; limits are checked before a byte of the payload is kept. */
  private begin(rsv: number): Frame.Violation | undefined {
    const { limits, length, message } = this
    const before = message === undefined ? 0 : message.size
    const isText = message === undefined ? this.opcode === Frame.Opcode.Text : message.isText
    const violation =
      checkSize(limits, before, length, rsv !== 0 || message?.isEncoded === true) ??
      (isText ? checkText(before + length) : undefined)
    if (violation !== undefined) return violation
    if (this.opcode === Frame.Opcode.Continuation) {
      this.fragments++
      if (this.fragments > limits.maxFragments) {
        return Frame.violation(CloseCode.PolicyViolation, `more than maxFragments (${limits.maxFragments}) frames`)
      }
      this.message!.expect(length, this.fin)
      return undefined
    }
    this.fragments = 1
    // A whole frame inside one chunk needs no assembly: takePayload sees that none was made.
    this.rsv = rsv
    return undefined
  }

  /** Takes what is there of the current frame's payload. */
  private takePayload(bytes: Uint8Array, at: number, end: number): number {
    const available = Math.min(this.missing, end - at)
    const to = at + available
    if (this.masked && available > 0) mask.xor(bytes, at, to, this.key, this.length - this.missing)
    this.missing -= available
    if (this.missing === 0) this.inPayload = false
    const whole = available === this.length
    if (Frame.isControl(this.opcode)) return this.takeControl(bytes, at, to, whole)
    if (whole && this.fin && this.message === undefined && !this.inFragments) return this.takeMessage(bytes, at, to)
    return this.takePart(bytes, at, to)
  }

  /** The hot path: a message that is one frame, all of it in this chunk. */
  private takeMessage(bytes: Uint8Array, at: number, to: number): number {
    const isText = this.opcode === Frame.Opcode.Text
    if (this.rsv !== 0) return this.takeEncoded(bytes.subarray(at, to), this.rsv, isText, bytes, to)
    return this.deliver(bytes, at, to, isText, this.discarding) ?? to
  }

  /** Hands a message over. */
  private deliver(bytes: Uint8Array, at: number, to: number, isText: boolean, isDropped: boolean) {
    if (isText) {
      const text = utf8.decode(bytes, at, to)
      if (text === undefined) return this.fail(notUtf8)
      if (!isDropped) this.receiver.message(text)
    } else if (!isDropped) {
      this.receiver.message(copyOf(bytes, at, to))
    }
    return undefined
  }

  /** Takes the extensions' doing back, at once or later; then the rest of the chunk waits, as it does for a receiver that is full. */
  private takeEncoded(payload: Uint8Array, rsv: number, isText: boolean, chunk: Uint8Array, to: number): number {
    if (this.discarding) return to
    const { suspension } = this
    const decoded = Extension.decode(this.codecs, payload, rsv, this.limits.maxMessageSize)
    if (typeof decoded !== "function") {
      if (this.deliverDecoded(decoded, isText, this.discarding) === FAILED) return FAILED
      if (to === chunk.length || !this.isReceiverFull()) return to
      suspension.begin(chunk, to)
      return chunk.length
    }
    suspension.begin(chunk, to)
    try {
      suspension.work(decoded, isText, () => this.receiver.decoded?.())
    } catch {
      return this.fail(Frame.violation(CloseCode.InternalError, "an extension could not decode a message"))
    }
    return chunk.length
  }

  private isReceiverFull(): boolean {
    return !this.discarding && this.receiver.isFull?.() === true
  }

  private deliverDecoded(payload: Uint8Array | Frame.Violation, isText: boolean, isDropped: boolean) {
    if (!(payload instanceof Uint8Array)) return this.fail(payload)
    const tooLong = isText ? checkText(payload.length) : undefined
    if (tooLong !== undefined) return this.fail(tooLong)
    return this.deliver(payload, 0, payload.length, isText, isDropped)
  }

  /** A part of a message: a fragment, or a piece of a frame that is still arriving. */
  private takePart(bytes: Uint8Array, at: number, to: number): number {
    let { message } = this
    if (message === undefined) {
      message = new Assembly(this.opcode === Frame.Opcode.Text, this.rsv, this.discarding)
      message.expect(this.length, this.fin)
      this.message = message
    }
    if (!message.append(bytes, at, to)) return this.fail(notUtf8)
    const complete = this.missing === 0 && this.fin
    if (complete) this.message = undefined
    if (this.inFragments && !message.isEncoded) {
      if (complete && !message.isWhole()) return this.fail(notUtf8)
      if (!this.discarding) this.handOver(message, complete)
      return to
    }
    return complete ? this.completeMessage(message, bytes, to) : to
  }

  private completeMessage(message: Assembly, chunk: Uint8Array, to: number): number {
    this.inFragments = false
    if (message.isEncoded) return this.takeEncoded(message.view, message.rsv, message.isText, chunk, to)
    if (!message.isWhole()) return this.fail(notUtf8)
    if (!this.discarding) this.receiver.message(message.take())
    return to
  }

  private handOver(message: Assembly, final: boolean): void {
    if (final) this.inFragments = false
    const data = message.takePiece()
    if (!final && data.length === 0) return
    this.handedOver = !final
    this.receiver.fragment({ data, final })
  }

  private takeControl(bytes: Uint8Array, at: number, to: number, whole: boolean): number {
    // A chunk may also end between the header and the payload, so that all of the payload comes after the first call.
    if (!whole || this.control !== undefined) {
      this.control ??= new Uint8Array(this.length)
      this.control.set(bytes.subarray(at, to), this.length - this.missing - (to - at))
      if (this.missing > 0) return to
    }
    const payload = this.control ?? copyOf(bytes, at, to)
    this.control = undefined
    switch (this.opcode) {
      case Frame.Opcode.Ping:
        this.receiver.ping(payload)
        return to
      case Frame.Opcode.Pong:
        this.receiver.pong(payload)
        return to
      default: {
        const close = Frame.parseClose(payload)
        if ("_tag" in close) return this.fail(close)
        // §1.4: what follows a close frame is discarded.
        this.ended = true
        this.message = undefined
        this.receiver.close(close)
        return to
      }
    }
  }
}
