import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import type { Message } from "../Connection.js"
import { type Listener, type MessageSocket, saidBy } from "../messageSocket.js"
import * as CloseCode from "../protocol/CloseCode.js"
import { why } from "../TransportError.js"
import { sizeOf } from "../wholeMessages.js"
import type { Chunk } from "./socketRun.js"

/** A `Socket` of the platform's as what carries a connection: one run of it, and one fiber that writes. */

/** A message as it came; some sockets give other kinds of bytes than they say. */
const messageOf = (data: unknown): Message => {
  if (typeof data === "string") return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return data instanceof ArrayBuffer ? new Uint8Array(data) : String(data)
}

/** What went wrong with a socket: what lies behind its error, whose own sentence only says when. */
const errorOf = (cause: unknown): Error => {
  if (Socket.isSocketError(cause) && cause.reason !== "Close") return errorOf(cause.cause)
  if (cause instanceof AggregateError) return new Error(why(cause), { cause })
  if (cause instanceof Error) return cause
  const said = typeof cause === "object" && cause !== null ? saidBy(cause) : String(cause ?? "")
  return new Error(said || "the socket does not say why", { cause })
}

const untold = new Error(
  "the socket says that its end is no error, and not with which code, and so it may have been cut: make it with closeCodeIsError: () => true, or say what that means as successCode"
)

export class SocketCarrier implements MessageSocket {
  isOpen = true
  /** Bytes that were given to it and are not written. */
  bufferedAmount = 0
  private readonly socket: Socket.Socket
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly successCode: number
  private readonly orders = Effect.runSync(Queue.unbounded<Chunk>())
  private listener: Listener | undefined
  private hasOpened = false
  private running: Fiber.RuntimeFiber<void> | undefined
  private writing: Fiber.RuntimeFiber<void> | undefined

  constructor(socket: Socket.Socket, runtime: Runtime.Runtime<never>, successCode: number) {
    this.socket = socket
    this.fork = Runtime.runFork(runtime)
    this.successCode = successCode
  }

  /** Runs the socket, and tells what becomes of that. */
  start(listener: Listener): void {
    this.listener = listener
    const run = Effect.suspend(() =>
      // A handler that gives no effect is called in order: nothing of it can overtake the rest.
      this.socket.runRaw((data) => this.receive(messageOf(data)), { onOpen: Effect.sync(() => this.open()) })
    )
    const ending = Effect.flatMap(Effect.exit(run), (exit) => Effect.sync(() => this.end(exit)))
    this.running = this.fork(ending)
    this.running.addObserver(() => this.writing?.unsafeInterruptAsFork(FiberId.none))
  }

  send(message: Message): void {
    this.bufferedAmount += sizeOf(message)
    // A Buffer's own `slice` is no copy.
    this.orders.unsafeOffer(typeof message === "string" ? message : new Uint8Array(message))
  }

  /** Goes behind all that is to be sent. */
  close(code: number = CloseCode.NormalClosure, reason?: string): void {
    this.orders.unsafeOffer(new Socket.CloseEvent(code, reason))
  }

  handOver(listener: Listener): void {
    this.listener = listener
  }

  letGo(): void {
    this.isOpen = false
    this.bufferedAmount = 0
    this.listener = undefined
    // Who writes is interrupted behind the run: platform's writers wait for a stream that still runs.
    this.running?.unsafeInterruptAsFork(FiberId.none)
  }

  /** Waits until nothing is left of the run. */
  get gone(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const fibers = [this.running, this.writing].filter((fiber) => fiber !== undefined)
      return Effect.asVoid(Fiber.awaitAll(fibers))
    })
  }

  /** Some sockets have messages before they say that they are open. */
  private open(): void {
    if (this.hasOpened || this.listener === undefined) return
    this.hasOpened = true
    this.writing = this.fork(this.write)
    this.listener.opened()
  }

  private receive(message: Message): void {
    this.open()
    this.listener?.received(message)
  }

  /** Writes what there is, in order, until it is interrupted. */
  private get write(): Effect.Effect<void> {
    const all = Effect.flatMap(this.socket.writer, (write) =>
      Effect.forever(
        Effect.flatMap(Queue.take(this.orders), (chunk) =>
          Effect.map(write(chunk), () => {
            if (!Socket.isCloseEvent(chunk)) this.written(chunk)
          })
        )
      )
    )
    // Some writers die of what becomes of their streams.
    return Effect.catchAllCause(Effect.scoped(all), (cause) =>
      Effect.sync(() => {
        if (!Cause.isInterruptedOnly(cause)) this.fail(errorOf(Cause.squash(cause)))
      })
    )
  }

  private written(message: Message): void {
    // Let go of, it has nothing left that could be.
    if (this.listener === undefined) return
    this.bufferedAmount -= sizeOf(message)
    this.listener.drained()
  }

  private fail(error: Error): void {
    this.isOpen = false
    this.listener?.failed(error)
  }

  private end(exit: Exit.Exit<void, Socket.SocketError>): void {
    this.isOpen = false
    if (Exit.isSuccess(exit)) {
      this.closed(this.successCode, "", untold)
      return
    }
    const error = Cause.squash(exit.cause)
    if (Socket.isSocketError(error) && error.reason === "Close") {
      const { code, closeReason = "" } = error
      this.closed(code, closeReason, closeReason === "" ? undefined : new Error(closeReason))
    } else this.closed(CloseCode.AbnormalClosure, "", errorOf(error))
  }

  /** A code that no close frame can have says that there was none; then `why` is the reason, where there is one. */
  private closed(code: number, reason: string, why: Error | undefined): void {
    const wasClean = CloseCode.isValid(code) || code === CloseCode.NoStatusReceived
    if (!wasClean && why !== undefined) this.fail(why)
    this.listener?.closed({ code, reason, wasClean })
  }
}
