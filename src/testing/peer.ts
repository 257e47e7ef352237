import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { joinedBytes } from "../joinedBytes.js"
import type { Role } from "../protocol/Frame.js"
import type { ByteStream } from "../Transport.js"
import { type Frame, type SerializeOptions, serialize } from "./Frame.js"
import { FrameReader } from "./frameReader.js"

/** The other end has ended its stream, and no whole frame is left of what it sent. */
export class EndOfStream extends Data.TaggedError("EndOfStream")<{}> {
  override get message() {
    return "the other end has ended its stream, and there is no whole frame left of what it sent"
  }
}

/** How a peer sends frames. */
export interface PeerSendOptions extends Omit<SerializeOptions, "maskingKey"> {
  /** 32 bits, or `none` for frames without a mask: what its side has to do unless told otherwise. RFC 6455 §5.1. */
  readonly maskingKey?: number | "none" | undefined
}

/** What stands at the other end of a connection under test: it speaks bytes and frames, and does nothing by itself. */
export interface Peer {
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
  /** Waits for bytes and takes all that are there; nothing once the other end has ended its side. */
  readonly read: Effect.Effect<Uint8Array>
  /** Sends a frame, or several in one piece, whatever they are. */
  readonly send: (frames: Frame | ReadonlyArray<Frame>, options?: PeerSendOptions) => Effect.Effect<void>
  /** Waits for the next whole frame and takes it. Fails once the other end has ended its side and there is none. */
  readonly receive: Effect.Effect<Frame, EndOfStream>
  /** Ends this side; the other stays open. */
  readonly end: Effect.Effect<void>
  readonly destroy: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** Waits until nothing is left of the stream. */
  readonly closed: Effect.Effect<void>
}

/** The key of the examples in RFC 6455 §5.7. */
const MASKING_KEY = 0x37fa213d

export class StreamPeer implements Peer {
  readonly stream: ByteStream
  private readonly role: Role
  private readonly reader = new FrameReader()
  private readonly ended = Deferred.unsafeMake<void>(FiberId.none)
  private isOver = false
  private waiting: Array<() => void> = []

  constructor(role: Role, stream: ByteStream) {
    this.role = role
    this.stream = stream
    stream.attach({
      data: (bytes) => {
        this.reader.push(bytes.slice())
        this.notify()
      },
      end: () => {
        this.isOver = true
        this.notify()
      },
      drain: () => {},
      closed: () => {
        this.isOver = true
        Deferred.unsafeDone(this.ended, Effect.void)
        this.notify()
      }
    })
  }

  get write() {
    return (bytes: Uint8Array): Effect.Effect<void> => Effect.sync(() => void this.stream.write(bytes))
  }

  get read(): Effect.Effect<Uint8Array> {
    return Effect.suspend(() => {
      const bytes = this.reader.rest
      if (bytes.length === 0 && !this.isOver) return Effect.zipRight(this.more, this.read)
      this.reader.forget()
      return Effect.succeed(bytes)
    })
  }

  get send() {
    return (frames: Frame | ReadonlyArray<Frame>, options: PeerSendOptions = {}): Effect.Effect<void> => {
      const { maskingKey = this.role === "client" ? MASKING_KEY : "none", ...rest } = options
      const all = "opcode" in frames ? [frames] : frames
      const key = maskingKey === "none" ? undefined : maskingKey
      return this.write(joinedBytes(all.map((frame) => serialize(frame, { ...rest, maskingKey: key }))))
    }
  }

  get receive(): Effect.Effect<Frame, EndOfStream> {
    return Effect.suspend(() => {
      const read = this.reader.next()
      if (read !== undefined) return Effect.succeed(read.frame)
      return this.isOver ? Effect.fail(new EndOfStream()) : Effect.zipRight(this.more, this.receive)
    })
  }

  get end(): Effect.Effect<void> {
    return Effect.sync(() => this.stream.end())
  }

  get destroy(): Effect.Effect<void> {
    return Effect.sync(() => this.stream.destroy())
  }

  get pause(): Effect.Effect<void> {
    return Effect.sync(() => this.stream.pause())
  }

  get resume(): Effect.Effect<void> {
    return Effect.sync(() => this.stream.resume())
  }

  get closed(): Effect.Effect<void> {
    return Deferred.await(this.ended)
  }

  /** Waits until something has come, or the end. */
  private get more(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const wake = () => resume(Effect.void)
      this.waiting.push(wake)
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((other) => other !== wake)
      })
    })
  }

  private notify(): void {
    for (const wake of this.waiting.splice(0)) wake()
  }
}
