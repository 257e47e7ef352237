import { type Arena, renewShared, shared, sharedMinimum, sharedSize, withRoom } from "./arena.js"
import type { Message } from "./inbox.js"
import { PreparedFrames } from "./preparedFrames.js"
import type { Encoded } from "./protocol/Extension.js"
import { Opcode } from "./protocol/Frame.js"
import { type FrameEncoder, maxHeader } from "./protocol/FrameEncoder.js"
import { copyOf } from "./protocol/native.js"
import * as utf8 from "./protocol/utf8.js"
import type { ByteStream } from "./Transport.js"
import { type Proceed, type TakeBack, Waiters } from "./waiters.js"

/**
 * What one connection is about to send.
 *
 * Everything that is sent while a chunk of input is handled leaves in one
 * write: frames stand one behind the other in memory that all connections
 * share, free again as soon as the transport has taken them. Where that queues
 * them, the connection collects in memory of its own until it has drained.
 */

/** Payloads up to here are copied behind their header: two small writes cost more than a copy. */
const COPIED = 65_536

let owner: Outbox | undefined

let scheduled: Array<Outbox> = []
const flushScheduled = (): void => {
  const list = scheduled
  scheduled = []
  for (const outbox of list) outbox.flushNow()
}

export class Outbox {
  /** The transport has queued what it was given last, and will say when all of it has left. */
  private congested = false
  private own: Arena | undefined
  /** Made when there are some, and gone with them. */
  private prepared: PreparedFrames | undefined
  private isScheduled = false
  private isCorked = false
  /** Above the high-water mark only the newest ping is answered. RFC 6455 §5.5.3. */
  private latePong: Uint8Array | undefined
  private waiters: Waiters | undefined
  /** How often the transport has drained: who wants to wait for that sees whether it has come meanwhile. */
  drains = 0
  /** Bytes that the transport was given. */
  bytesSent = 0
  /** Messages that were taken for that; one in fragments counts with its last, by whoever sends it. */
  messagesSent = 0
  /** A fragmented message is on its way, and no other message may come between. RFC 6455 §5.4. */
  private locked = false
  /** An extension takes its time with a message of so many bytes, and no other message may overtake it. */
  private encoding: number | undefined
  private hasEnded = false
  private readonly stream: ByteStream
  private readonly encoder: FrameEncoder
  private readonly highWaterMark: number

  constructor(stream: ByteStream, encoder: FrameEncoder, highWaterMark: number) {
    this.stream = stream
    this.encoder = encoder
    this.highWaterMark = highWaterMark
  }

  /** Whether a message can be sent now, without a look at the marks. */
  get isFree(): boolean {
    return !this.congested && this.isTurn
  }

  /** Whether a message can be sent now. */
  get isOpenForMessages(): boolean {
    return this.isTurn && !this.isFull()
  }

  /** Nobody is in the middle of a message, and nobody comes before. */
  private get isTurn(): boolean {
    return !this.locked && this.encoding === undefined && this.waiters?.turns.isEmpty !== false
  }

  isFull(): boolean {
    return this.congested && this.bufferedAmount() >= this.highWaterMark
  }

  /** Bytes that have been sent by the connection's user and have not left the process. */
  bufferedAmount(): number {
    const own = this.own === undefined ? 0 : this.own.end - this.own.start
    const inShared = owner === this ? shared.end - shared.start : 0
    return own + inShared + (this.prepared?.size ?? 0) + (this.encoding ?? 0) + this.stream.bufferedAmount()
  }

  /**
   * Puts a message among what is to be sent. False where its memory is the
   * transport's for a while, or an extension takes its time: `onDrain` says
   * when that is over.
   */
  message(message: Message, compress?: boolean | undefined): boolean {
    this.messagesSent++
    if (this.encoder.transforms) return this.transformed(message, compress)
    if (typeof message === "string") return this.frame(Opcode.Text, true, message)
    return this.frame(Opcode.Binary, true, message)
  }

  /** The same for one frame of a message. */
  frame(opcode: Opcode, fin: boolean, payload: Message): boolean {
    if (typeof payload !== "string") return this.bytes(opcode, fin, payload, 0, false)
    const bound = payload.length * 3 + maxHeader
    if (bound > sharedSize) return this.bytes(opcode, fin, utf8.encode(payload), 0, true)
    const arena = this.room(bound)
    arena.end = this.encoder.writeText(arena.memory, arena.end, opcode, fin, payload)
    this.schedule()
    return true
  }

  private bytes(opcode: Opcode, fin: boolean, payload: Uint8Array, rsv: number, owned: boolean): boolean {
    if (payload.length > COPIED) return this.large(opcode, fin, payload, rsv, owned)
    const arena = this.room(payload.length + maxHeader)
    arena.end = this.encoder.writeBytes(arena.memory, arena.end, opcode, fin, payload, rsv)
    this.schedule()
    return true
  }

  private transformed(message: Message, compress: boolean | undefined): boolean {
    const opcode = typeof message === "string" ? Opcode.Text : Opcode.Binary
    const encoded = this.encoder.transform(message, compress)
    if (typeof encoded !== "function") {
      const { payload, rsv } = encoded
      if (payload === message) return this.bytes(opcode, true, payload, rsv, false)
      // An extension's memory is not ours to keep, so what is not copied anyway is copied here.
      const ours = payload.length > COPIED ? copyOf(payload, 0, payload.length) : payload
      return this.bytes(opcode, true, ours, rsv, true)
    }
    this.encoding = message.length
    try {
      encoded((encoded) => this.encoded(opcode, encoded))
    } catch (error) {
      // Somebody else's code: this message fails, and the next may be sent.
      this.encoding = undefined
      throw error
    }
    return false
  }

  /** An extension that has taken its time is done; behind our close frame nothing is sent any more. RFC 6455 §5.5.1. */
  private encoded(opcode: Opcode, encoded: Encoded | undefined): void {
    this.encoding = undefined
    if (this.hasEnded) return
    if (encoded === undefined) {
      // Somebody else's code has failed, and a message of this connection is lost: nothing else may follow it.
      this.stream.destroy()
      return
    }
    this.bytes(opcode, true, encoded.payload, encoded.rsv, true)
    if (!this.congested) this.hasDrained()
  }

  /** A payload that goes out from where it lies; a client masks, and does that in a copy. */
  private large(opcode: Opcode, fin: boolean, payload: Uint8Array, rsv: number, owned: boolean): boolean {
    const ours = owned || this.encoder.masked
    const bytes = ours && !owned ? copyOf(payload, 0, payload.length) : payload
    const arena = this.room(maxHeader)
    arena.end = this.encoder.writeHeaderOf(arena.memory, arena.end, opcode, fin, bytes, rsv)
    this.giveAll()
    return this.write(bytes) || ours
  }

  /** A control frame: it passes messages that wait, and fragments. */
  control(opcode: Opcode, payload: Uint8Array): void {
    const arena = this.room(payload.length + maxHeader)
    arena.end = this.encoder.writeBytes(arena.memory, arena.end, opcode, true, payload)
  }

  /** Answers a ping. */
  pong(payload: Uint8Array): void {
    if (this.isFull()) {
      this.latePong = payload
    } else {
      this.control(Opcode.Pong, payload)
      this.schedule()
    }
  }

  /** Whether messages leave as frames that do not depend on the connection. */
  get takesFrames(): boolean {
    return !this.encoder.masked && !this.encoder.transforms
  }

  /** Adds whole frames whose memory nobody changes any more. */
  frames(bytes: Uint8Array): void {
    this.messagesSent++
    if (!this.congested && owner === this && shared.end > shared.start) {
      this.copy(bytes)
    } else {
      if (this.prepared === undefined) this.prepared = new PreparedFrames(bytes)
      else this.prepared.add(bytes)
      // As with what is copied: beyond so much the transport says whether there is room for more.
      if (this.prepared.size > sharedSize) this.flush()
    }
    this.schedule()
  }

  /** Takes back the oldest of those frames that have not left, down to the mark; false if there is none. */
  dropOldest(): boolean {
    // Nothing may come into a message in fragments, nor before one that is being compressed.
    const { prepared } = this
    if (prepared === undefined || this.locked || this.encoding !== undefined) return false
    const before = prepared.count
    while (prepared.count > 0 && this.isFull()) prepared.dropFirst()
    this.messagesSent -= before - prepared.count
    if (prepared.count === 0) this.prepared = undefined
    return true
  }

  /** Has all that was added written in a microtask, together with what is added until then. */
  schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    if (!this.isCorked && scheduled.push(this) === 1) queueMicrotask(flushScheduled)
  }

  /** A chunk of input begins: what is sent while it is dealt with is written when that is done. */
  cork(): void {
    this.isCorked = true
  }

  uncork(): void {
    this.isCorked = false
    if (this.isScheduled) this.flushNow()
  }

  flushNow(): void {
    this.isScheduled = false
    this.flush()
  }

  /** Writes what was added, unless the transport has yet to drain. */
  flush(): void {
    if (this.congested) return
    if (this.prepared?.count === 1 && (owner !== this || shared.end === shared.start)) {
      for (const bytes of this.takePrepared()) this.write(bytes)
      return
    }
    if (this.prepared !== undefined) this.unpack()
    if (owner === this) this.giveShared()
  }

  /** Hands everything to the transport, which queues it if it must: a close frame follows, or an end. */
  giveAll(): void {
    if (this.prepared !== undefined) this.unpack()
    if (owner === this) this.giveShared()
    this.giveOwn()
  }

  /** The same for the last that is sent. */
  giveLast(): void {
    this.giveAll()
    this.hasEnded = true
  }

  private giveOwn(): void {
    const { own } = this
    if (own === undefined) return
    this.own = undefined
    this.write(own.memory.subarray(own.start, own.end))
  }

  /** The transport has sent all that it had. */
  drained(): void {
    this.congested = false
    // First what lies in memory of its own: prepared frames came later.
    this.giveOwn()
    if (this.latePong !== undefined && !this.isFull()) {
      const payload = this.latePong
      this.latePong = undefined
      this.control(Opcode.Pong, payload)
    }
    this.flush()
    if (!this.congested && this.encoding === undefined) this.hasDrained()
  }

  private hasDrained(): void {
    this.drains++
    for (const proceed of this.waiters?.drains.takeAll() ?? []) proceed()
    this.proceed()
  }

  /** The connection will not send any more: whoever waits finds that out. */
  end(): void {
    this.hasEnded = true
    if (owner === this) {
      shared.end = shared.start
      owner = undefined
    }
    this.own = undefined
    this.prepared = undefined
    this.latePong = undefined
    this.waiters?.end()
  }

  private get waiting(): Waiters {
    this.waiters ??= new Waiters()
    return this.waiters
  }

  /** Calls back when it is this caller's turn to send, and there is room; returns how to take that back. */
  onTurn(proceed: Proceed): TakeBack {
    const takeBack = this.waiting.turns.add(proceed)
    return () => {
      takeBack()
      this.proceed()
    }
  }

  /** Calls back when there is room for the next fragment of the message that has the lock. */
  onRoom(proceed: Proceed): TakeBack {
    return this.waiting.room.add(proceed)
  }

  /** Calls back when the transport has sent all that it has now. */
  onDrain(proceed: Proceed): TakeBack {
    return this.waiting.drains.add(proceed)
  }

  lock(): void {
    this.locked = true
  }

  unlock(): void {
    this.locked = false
    this.proceed()
  }

  private proceed(): void {
    if (this.waiters === undefined || this.encoding !== undefined) return
    const { room, turns } = this.waiters
    if (this.locked) {
      if (!this.isFull()) room.next()
      return
    }
    while (!turns.isEmpty && !this.locked && this.encoding === undefined && !this.isFull()) turns.next()
  }

  /** Memory with room for so many bytes behind its end, in the order of what was sent before. */
  private room(size: number): Arena {
    if (this.prepared !== undefined) this.unpack()
    if (this.congested) return this.roomOfOwn(size)
    if (owner !== this) {
      owner?.flush()
      owner = this
    }
    if (shared.end + size > shared.memory.length) {
      this.giveShared()
      if (this.congested) return this.roomOfOwn(size)
      if (shared.end + size > shared.memory.length) renewShared()
    }
    return shared
  }

  private roomOfOwn(size: number): Arena {
    this.own = withRoom(this.own, size)
    return this.own
  }

  private unpack(): void {
    for (const bytes of this.takePrepared()) this.copy(bytes)
  }

  private takePrepared(): ReadonlyArray<Uint8Array> {
    const all = this.prepared?.all ?? []
    this.prepared = undefined
    return all
  }

  private copy(bytes: Uint8Array): void {
    if (bytes.length > COPIED) {
      this.giveAll()
      this.write(bytes)
      return
    }
    const arena = this.room(bytes.length)
    arena.memory.set(bytes, arena.end)
    arena.end += bytes.length
  }

  private giveShared(): void {
    if (shared.end === shared.start) return
    const { memory, start, end } = shared
    shared.end = start
    if (this.write(memory.subarray(start, end))) return
    shared.start = end
    shared.end = end
    if (memory.length - end < sharedMinimum) renewShared()
  }

  private write(bytes: Uint8Array): boolean {
    this.bytesSent += bytes.length
    if (this.stream.write(bytes) === "sent") return true
    this.congested = true
    return false
  }
}
