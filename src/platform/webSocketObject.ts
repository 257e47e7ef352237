import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { type Connection, type Message, runForEach } from "../Connection.js"
import type { ConnectionClosed } from "../ConnectionClosed.js"
import { macrotask } from "../macrotask.js"
import * as CloseCode from "../protocol/CloseCode.js"
import * as Frame from "../protocol/Frame.js"
import { areTokens } from "../protocol/headers.js"
import * as uri from "../protocol/uri.js"
import { ClosedEvent, closedEvent, FailedEvent, isFailed } from "./webSocketEvents.js"

/** What a socket does one after the other. */
type Order =
  | { readonly _tag: "Send"; readonly message: Message | Blob; readonly size: number }
  | { readonly _tag: "Close"; readonly close: Partial<Frame.Close> }

type Run = (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>

/** The size of what is sent: `send` never waits, and so this is what a program has to go by. */
const sizeOf = (message: Message | Blob): number => {
  if (typeof message === "string") return new TextEncoder().encode(message).length
  return message instanceof Uint8Array ? message.length : message.size
}

/** Bytes as they are now: they may be changed once `send` has returned. */
const copyOf = (data: ArrayBufferLike | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    : new Uint8Array(data).slice()

const syntaxError = (problem: string) => new DOMException(problem, "SyntaxError")

/** One connection of our client's, with the properties, methods and events of the web's `WebSocket`. */
export class WebSocketObject extends EventTarget implements WebSocket {
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSING = 2
  readonly CLOSED = 3
  readonly url: string
  readyState: 0 | 1 | 2 | 3 = 0
  protocol = ""
  extensions = ""
  bufferedAmount = 0
  onopen: WebSocket["onopen"] = null
  onmessage: WebSocket["onmessage"] = null
  onerror: WebSocket["onerror"] = null
  onclose: WebSocket["onclose"] = null
  private type: BinaryType | undefined
  private readonly orders = Effect.runSync(Queue.unbounded<Order>())
  private readonly fiber: Fiber.RuntimeFiber<void>

  constructor(
    url: string,
    subprotocols: ReadonlyArray<string>,
    connect: Effect.Effect<Connection, unknown, Scope.Scope>,
    run: Run
  ) {
    super()
    const target = uri.parse(url)
    if (typeof target === "string") throw syntaxError(`cannot connect to ${uri.withoutSecrets(url)}: ${target}`)
    if (!areTokens(subprotocols)) throw syntaxError("subprotocols are different tokens, as RFC 9110 §5.6.2 has them")
    this.url = new URL(url).href
    // First of all listeners: an error of theirs is reported as that of any listener.
    this.addEventListener("open", (event) => this.onopen?.(event))
    this.addEventListener("error", (event) => this.onerror?.(event))
    this.addEventListener("message", (event) => event instanceof MessageEvent && this.onmessage?.(event))
    this.addEventListener("close", (event) => event instanceof ClosedEvent && this.onclose?.(event))
    this.fiber = run(this.live(connect))
  }

  get binaryType(): BinaryType {
    return this.type ?? "arraybuffer"
  }

  set binaryType(type: BinaryType) {
    this.type = type
  }

  send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
    if (this.readyState === this.CONNECTING) {
      throw new DOMException("it is not open yet: wait for the event open", "InvalidStateError")
    }
    const message = typeof data === "string" || data instanceof Blob ? data : copyOf(data)
    const size = sizeOf(message)
    this.bufferedAmount += size
    if (this.readyState === this.OPEN) this.orders.unsafeOffer({ _tag: "Send", message, size })
  }

  close(code?: number, reason = ""): void {
    if (code !== undefined && !CloseCode.isValid(code)) {
      throw new DOMException(`${code} cannot be sent as a close code: use 1000 or 3000 to 4999`, "InvalidAccessError")
    }
    if (Frame.fitReason(reason) !== reason) {
      throw syntaxError(`a close reason holds at most ${Frame.maxReason} bytes of UTF-8: shorten it`)
    }
    const { readyState } = this
    if (readyState > this.OPEN) return
    this.readyState = this.CLOSING
    if (readyState === this.CONNECTING) this.fiber.unsafeInterruptAsFork(FiberId.none)
    else this.orders.unsafeOffer({ _tag: "Close", close: code === undefined ? { reason } : { code, reason } })
  }

  /** From dialling to the last event. */
  private live(connect: Effect.Effect<Connection, unknown, Scope.Scope>): Effect.Effect<void> {
    return Effect.uninterruptibleMask((restore) => {
      let opened: Connection | undefined
      const open = Effect.flatMap(connect, (connection) => {
        opened = connection
        this.hasOpened(connection)
        const receiving = runForEach(connection, (message) => Effect.sync(() => this.receive(message)))
        const over = Effect.sync(() => {
          this.readyState = this.CLOSING
        })
        return Effect.raceFirst(Effect.ensuring(receiving, over), this.obey(connection))
      })
      // Nothing happens before whoever has made it could add listeners.
      const later = Effect.async<void>((resume) => macrotask(() => resume(Effect.void)))
      return Effect.flatMap(Effect.exit(restore(Effect.zipRight(later, Effect.scoped(open)))), (exit) =>
        opened === undefined
          ? Effect.sync(() => this.hasFailed(exit))
          : Effect.map(opened.closed, (closed) => this.hasClosed(closed))
      )
    })
  }

  /** Sends and closes, in order; why it cannot any more is what the end of the connection says. */
  private obey(connection: Connection): Effect.Effect<never> {
    const next = Effect.flatMap(Queue.take(this.orders), (order) => {
      if (order._tag === "Close") return connection.close(order.close)
      const { message, size } = order
      const bytes =
        message instanceof Blob
          ? Effect.promise(async () => new Uint8Array(await message.arrayBuffer()))
          : Effect.succeed(message)
      return Effect.map(Effect.flatMap(bytes, connection.send), () => {
        this.bufferedAmount -= size
      })
    })
    return Effect.zipRight(Effect.ignore(Effect.forever(next)), Effect.never)
  }

  private hasOpened({ handshake }: Connection): void {
    this.readyState = this.OPEN
    this.protocol = Option.getOrElse(handshake.subprotocol, () => "")
    this.extensions = handshake.response.headers
      .filter(([name]) => name.toLowerCase() === "sec-websocket-extensions")
      .map(([, value]) => value)
      .join(", ")
    this.dispatchEvent(new Event("open"))
  }

  private receive(message: Message): void {
    if (this.readyState !== this.OPEN) return
    this.dispatchEvent(new MessageEvent("message", { data: this.dataOf(message), origin: new URL(this.url).origin }))
  }

  private dataOf(message: Message): Message | Blob | ArrayBuffer {
    if (typeof message === "string" || this.type === undefined) return message
    const bytes = Uint8Array.from(message)
    return this.type === "blob" ? new Blob([bytes]) : bytes.buffer
  }

  private hasFailed(exit: Exit.Exit<unknown, unknown>): void {
    this.end(closedEvent(undefined), Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined)
  }

  private hasClosed(closed: ConnectionClosed): void {
    this.end(closedEvent(closed), isFailed(closed) ? closed : undefined)
  }

  private end(event: ClosedEvent, error: unknown): void {
    this.readyState = this.CLOSED
    if (error !== undefined) this.dispatchEvent(new FailedEvent(error))
    this.dispatchEvent(event)
  }
}
