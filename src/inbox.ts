import { isNonEmptyArray, type NonEmptyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { RuntimeFiber } from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { ConcurrencyError } from "./ConcurrencyError.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import { Wait, type Waiting } from "./wait.js"

/**
 * The messages of one connection that nobody has taken yet, and the fiber that
 * waits for them.
 *
 * Whatever fills it wakes that fiber once per chunk of input, not once per
 * message; the fiber takes messages out in plain JavaScript.
 */

/** Whole messages: text or binary. */
export type Message = string | Uint8Array

/** Charged for each message beside its content: what small ones cost in memory. */
const OVERHEAD = 64

/** So many places before the first message are worth a move, and so many empty ones worth new memory. */
const MOVED_FROM = 1024

/**
 * Lists for messages, lent to inboxes that have some: a place that was used for the last chunk is in the processor's caches,
 * where one of a connection's own has left them since its last chunk. Places are used again, as to shrink and grow a list costs
 * more than a message.
 */
const lists: Array<Array<unknown>> = []
const LISTS = 64

const none: Array<never> = []

const sizeOf = (message: unknown): number => OVERHEAD + lengthOf(message)

/** Of a message, or of a part of one. */
const lengthOf = (content: unknown): number => {
  if (typeof content === "string" || content instanceof Uint8Array) return content.length
  return typeof content === "object" && content !== null && "data" in content ? lengthOf(content.data) : 0
}

/** Who fills an inbox, and is told how far it has been emptied. */
export interface Supplier {
  /** A reader has taken everything and asks for more. */
  readonly idle: () => void
  /** What is kept has sunk well below the high-water mark again. */
  readonly roomy: () => void
  /** How the connection ended; asked for only when it has. */
  readonly exit: () => Exit.Exit<never, ConnectionClosed>
}

type Fiber = RuntimeFiber<unknown, unknown>

export class Inbox<A = Message> {
  /** Messages are items[head, tail); where there are none it is nobody's. */
  private items: Array<A | undefined> = none
  private head = 0
  private tail = 0
  /** Bytes, with the overhead of each message. */
  private size = 0
  private aboveMark = false
  private over = false
  /** The fiber that waits, or has been woken and has not run yet. */
  private reader: Fiber | "needs none" | undefined
  private readerIsInterruptible = false
  /** The reader's wait; undefined once it is over. */
  private waiting: Waiting | undefined
  /** A message is being taken in parts: whoever else asks for one fails. */
  private claimed = false
  private readonly supplier: Supplier
  private readonly highWaterMark: number

  constructor(supplier: Supplier, highWaterMark: number) {
    this.supplier = supplier
    this.highWaterMark = highWaterMark
  }

  /** Adds a message; `wake` follows when the chunk that it came in is read. */
  push(message: A): void {
    if (this.tail === 0) this.items = (lists.pop() ?? []) as Array<A | undefined>
    this.items[this.tail++] = message
    this.size += sizeOf(message)
  }

  isEmpty(): boolean {
    return this.head === this.tail
  }

  isFull(): boolean {
    return this.size >= this.highWaterMark
  }

  get count(): number {
    return this.tail - this.head
  }

  /** Bytes of their contents. */
  get length(): number {
    return this.size - OVERHEAD * this.count
  }

  /** Whether a fiber waits for messages: all before have been taken and dealt with. */
  isAwaited(): boolean {
    return this.waiting !== undefined && !this.readerIsGone()
  }

  /** Whether the reader will never take anything: it has ended, or its wait was interrupted. */
  private readerIsGone(): boolean {
    const { reader } = this
    if (reader === undefined || reader === "needs none") return false
    return (
      reader.unsafePoll() !== null ||
      (this.readerIsInterruptible && !Cause.isEmpty(reader.getFiberRef(FiberRef.interruptedCause)))
    )
  }

  /** The supplier has stopped at the mark and wants to hear when there is room. */
  awaitRoom(): void {
    this.aboveMark = true
  }

  /** Wakes the reader if there is something for it. */
  wake(): void {
    const { waiting } = this
    if (waiting?.isRegistered !== true || (this.isEmpty() && !this.over)) return
    this.waiting = undefined
    waiting.proceed()
  }

  /**
   * The same inside the transport's callback, where the reader's fiber would
   * run at once: what needs no fiber is done without it.
   */
  wakeInline(): void {
    const { waiting } = this
    if (waiting?.isRegistered !== true || this.isEmpty() || this.readerIsGone()) {
      this.wake()
      return
    }
    // Not waiting while that is done, so that an end of the connection meanwhile does not wake it too.
    this.waiting = undefined
    waiting.proceedInline()
  }

  /** Nothing was left for the fiber to do. */
  goOnWaiting(waiting: Waiting): void {
    this.waiting = waiting
  }

  /** Everything has been taken and dealt with. */
  idle(): void {
    this.supplier.idle()
  }

  /** No message comes any more: who has taken those that are there finds the end. */
  end(): void {
    this.over = true
    this.wake()
  }

  /** Whether everything has been taken and nothing more will come. */
  get isEnded(): boolean {
    return this.over && this.isEmpty()
  }

  /** Whether a message can be had now, in this fiber: nobody else waits or has just been woken. */
  get isReady(): boolean {
    return this.reader === undefined && this.head < this.tail && !this.claimed
  }

  /** From now on only who has claimed it reads; false where another fiber waits or has claimed it. */
  claim(): boolean {
    if (this.claimed || (this.reader !== undefined && !this.readerIsGone())) return false
    this.claimed = true
    return true
  }

  release(): void {
    this.claimed = false
  }

  /** Takes the first message out; where there is none, another fiber was quicker. */
  take(): A {
    if (this.isEmpty()) throw new ConcurrencyError()
    const message = this.items[this.head]!
    this.items[this.head++] = undefined
    if (this.head === this.tail) this.rewind()
    else if (this.head >= MOVED_FROM) {
      this.items.splice(0, this.head)
      this.tail -= this.head
      this.head = 0
    }
    this.sunk(sizeOf(message))
    return message
  }

  /** Takes out all messages. */
  takeAll(): NonEmptyArray<A> {
    // Between head and tail every place has its message.
    const all = this.items.slice(this.head, this.tail) as Array<A>
    if (!isNonEmptyArray(all)) throw new ConcurrencyError()
    this.items.fill(undefined, this.head, this.tail)
    this.rewind()
    this.sunk(this.size)
    return all
  }

  private rewind(): void {
    const { items } = this
    this.items = none
    this.head = 0
    this.tail = 0
    if (items.length <= MOVED_FROM && lists.length < LISTS) lists.push(items)
  }

  /** Takes messages off the front for as long as they satisfy a predicate. */
  dropWhile(isDropped: (message: A) => boolean): void {
    while (!this.isEmpty() && isDropped(this.items[this.head]!)) this.take()
  }

  private sunk(by: number): void {
    this.size -= by
    // Half empty, not just below: otherwise each message taken would start and stop the reading.
    if (this.aboveMark && this.size <= this.highWaterMark / 2) {
      this.aboveMark = false
      this.supplier.roomy()
    }
  }

  /** Who waited goes on. */
  resumed(): void {
    this.reader = undefined
  }

  /** Waits without a fiber, where everything has been taken; false where somebody else reads. */
  waitWithout(waiting: Waiting): boolean {
    if (this.claimed || (this.reader !== undefined && !this.readerIsGone())) return false
    this.reader = "needs none"
    this.waiting = waiting
    return true
  }

  /** Waits no longer; false where it has been woken. */
  forget(waiting: Waiting): boolean {
    if (this.waiting !== waiting) return false
    this.waiting = undefined
    this.reader = undefined
    return true
  }

  /** The same for who goes on with what `next` finds; prepared once and called for each wait. */
  waitThen<B, E, R>(
    next: () => Effect.Effect<B, E, R>,
    hasClaim = false
  ): (fiber: Fiber, flags: RuntimeFlags.RuntimeFlags) => Effect.Effect<B, E | ConcurrencyError, R> {
    const wait = new Wait(this, { next }, hasClaim)
    return (fiber, flags) => this.wait(wait, fiber, flags)
  }

  /** How a fiber waits until there is a message or the end, and then goes on with what its reader finds. */
  wait<B, E, R>(
    wait: Wait<B, E, R>,
    fiber: Fiber,
    flags: RuntimeFlags.RuntimeFlags
  ): Effect.Effect<B, E | ConcurrencyError, R> {
    if (this.claimed !== wait.hasClaim) return Effect.fail(new ConcurrencyError())
    if (this.reader !== undefined) {
      if (this.reader !== fiber && !this.readerIsGone()) return Effect.fail(new ConcurrencyError())
      this.reader = undefined
      this.waiting = undefined
      return wait.next()
    }
    this.supplier.idle()
    if (!this.isEmpty() || this.over) return wait.next()
    this.reader = fiber
    this.readerIsInterruptible = RuntimeFlags.interruptible(flags)
    wait.begin()
    this.waiting = wait
    return wait.effect
  }
}
