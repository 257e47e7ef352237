import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Message } from "./inbox.js"
import type { Lifecycle } from "./lifecycle.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { Opcode } from "./protocol/Frame.js"

/** What sending in fragments needs of a connection. */
interface Sender {
  readonly lifecycle: Lifecycle
  readonly inTurn: (put: () => boolean) => Effect.Effect<void, ConnectionClosed>
  readonly inRoom: (put: () => boolean) => Effect.Effect<void, ConnectionClosed>
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00

/** One message that goes out in fragments. RFC 6455 §5.4. */
export class FragmentSender {
  private readonly sender: Sender
  /** What the next fragment is; undefined before the first. */
  private opcode: Opcode | undefined
  private isText = false
  /** The first half of a character whose second half comes with the next piece. */
  private carry = ""
  private finished = false

  constructor(sender: Sender) {
    this.sender = sender
  }

  run<E, R>(fragments: Stream.Stream<Message, E, R>): Effect.Effect<void, E | ConnectionClosed, R> {
    const all = Effect.zipRight(
      Stream.runForEach(fragments, (piece) => this.piece(piece)),
      Effect.suspend(() => (this.opcode === undefined ? Effect.void : this.put(this.carry, true)))
    )
    return Effect.onExit(all, () =>
      Effect.sync(() => {
        if (this.opcode === undefined) return
        const { lifecycle } = this.sender
        if (!this.finished) {
          // §5.4 knows no way to give up a message.
          lifecycle.startClose({ code: CloseCode.InternalError, reason: "a fragmented message was not completed" })
        }
        lifecycle.outbox.unlock()
      })
    )
  }

  private piece(piece: Message): Effect.Effect<void, ConnectionClosed> {
    const isText = typeof piece === "string"
    if (this.opcode !== undefined && isText !== this.isText) {
      return Effect.die(new TypeError("the fragments of one message are all strings or all bytes: do not mix them"))
    }
    this.isText = isText
    if (!isText) return this.put(piece, false)
    const text = this.carry + piece
    const cut = isHighSurrogate(text.charCodeAt(text.length - 1)) ? text.length - 1 : text.length
    this.carry = text.slice(cut)
    return this.put(text.slice(0, cut), false)
  }

  private put(payload: Message, fin: boolean): Effect.Effect<void, ConnectionClosed> {
    const { sender } = this
    const { lifecycle } = sender
    const { outbox } = lifecycle
    if (this.opcode === undefined) {
      return sender.inTurn(() => {
        outbox.lock()
        return this.frame(this.isText ? Opcode.Text : Opcode.Binary, payload, fin)
      })
    }
    return sender.inRoom(() => this.frame(Opcode.Continuation, payload, fin))
  }

  private frame(opcode: Opcode, payload: Message, fin: boolean): boolean {
    this.opcode = Opcode.Continuation
    this.finished = fin
    const { outbox } = this.sender.lifecycle
    if (fin) outbox.messagesSent++
    return outbox.frame(opcode, fin, payload)
  }
}
