import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import type { BroadcastOptions, BroadcastReport } from "./ConnectionRegistry.js"
import type { Message } from "./inbox.js"
import type { Lifecycle } from "./lifecycle.js"
import type { LiveConnection } from "./liveConnection.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Codec, Common, Eventual } from "./protocol/Extension.js"
import * as Frame from "./protocol/Frame.js"
import { copyOf } from "./protocol/native.js"
import * as utf8 from "./protocol/utf8.js"

/** One message to many connections: encoded once, compressed once, the same bytes for everybody. */

/** What extensions make of the message for all connections that have agreed to the same. */
interface Encoding {
  readonly common: Common
  readonly codec: Codec
  /** Undefined where they leave it as it is. */
  readonly frame: Uint8Array | undefined
}

/** A message in the forms in which connections can take it. */
class Shared {
  private readonly message: Message
  private readonly compress: boolean | undefined
  private readonly encoding: Encoding | undefined
  private made: Uint8Array | undefined
  private kept: Message | undefined

  constructor(message: Message, compress: boolean | undefined, encoding: Encoding | undefined) {
    this.message = message
    this.compress = compress
    this.encoding = encoding
  }

  /** As it is; made for the first who takes it so. A copy, as the caller's bytes may change. */
  private get plain(): Uint8Array {
    this.made ??= frameOf(this.message)
    return this.made
  }

  /** For who encodes it by itself, and may not be done with it when the broadcast is: a copy, as well. */
  private get own(): Message {
    this.kept ??= typeof this.message === "string" ? this.message : copyOf(this.message, 0, this.message.length)
    return this.kept
  }

  put({ lifecycle }: LiveConnection): boolean {
    const { outbox } = lifecycle
    const commonCodec = commonCodecOf(lifecycle)
    const isCommon = commonCodec !== undefined && commonCodec.common?.kind === this.encoding?.common.kind
    if (outbox.takesFrames) {
      outbox.frames(this.plain)
    } else if (isCommon) {
      outbox.frames(this.encoding?.frame ?? this.plain)
      if (this.encoding?.frame !== undefined) commonCodec.common?.restart()
    } else {
      return outbox.message(this.own, this.compress)
    }
    return true
  }
}

const opcodeOf = (message: Message): Frame.Opcode =>
  typeof message === "string" ? Frame.Opcode.Text : Frame.Opcode.Binary

const bytesOf = (message: Message): Uint8Array => (typeof message === "string" ? utf8.encode(message) : message)

const frameOf = (message: Message, payload = bytesOf(message), rsv = 0): Uint8Array =>
  Frame.serialize({ fin: true, rsv, opcode: opcodeOf(message), payload })

/** The one extension of a connection, where it can be sent what was encoded for many. */
const commonCodecOf = ({ codecs, role }: Lifecycle): Codec | undefined => {
  const [codec] = codecs
  return role === "server" && codecs.length === 1 && codec?.common !== undefined ? codec : undefined
}

/** The codec of which least is asked, among those of one kind: what it encodes is good for all of them. */
const leastOf = (connections: ReadonlyArray<LiveConnection>): Codec | undefined => {
  let least: Codec | undefined
  for (const { lifecycle } of connections) {
    const codec = commonCodecOf(lifecycle)
    if (codec?.common === undefined) continue
    const before = least?.common
    if (before === undefined || (codec.common.kind === before.kind && codec.common.demand < before.demand))
      least = codec
  }
  return least
}

/** Somebody else's code may fail: then each connection is left to do by itself what it can. */
const encodedBy = (common: Common, message: Message, compress: boolean | undefined) => {
  try {
    return common.encode(bytesOf(message), compress)
  } catch {
    return "failed"
  }
}

const share = (
  connections: ReadonlyArray<LiveConnection>,
  message: Message,
  compress: boolean | undefined
): Eventual<Shared> => {
  const codec = leastOf(connections)
  const common = codec?.common
  if (codec === undefined || common === undefined) return new Shared(message, compress, undefined)
  const withFrame = (frame: Uint8Array | undefined) => new Shared(message, compress, { codec, common, frame })
  const encoded = encodedBy(common, message, compress)
  if (encoded === "failed") return new Shared(message, compress, undefined)
  if (typeof encoded === "function") {
    return (done) => encoded((payload) => done(withFrame(frameOf(message, payload, codec.rsv))))
  }
  return withFrame(encoded === undefined ? undefined : frameOf(message, encoded, codec.rsv))
}

/** One broadcast on its way: who has it, who misses it, and who is waited for. */
class Delivery {
  private sent = 0
  private readonly missed: Array<LiveConnection> = []
  private waiting: Array<Effect.Effect<void>> | undefined
  private readonly shared: Shared
  private readonly slowPeers: NonNullable<BroadcastOptions["slowPeers"]>

  constructor(shared: Shared, slowPeers: NonNullable<BroadcastOptions["slowPeers"]>) {
    this.shared = shared
    this.slowPeers = slowPeers
  }

  to(connection: LiveConnection): void {
    const { slowPeers } = this
    const { lifecycle } = connection
    const { outbox } = lifecycle
    if (!lifecycle.isOpen) {
      // Closed meanwhile, as the message took its time to encode.
      this.missed.push(connection)
    } else if (outbox.isFree) {
      this.give(connection)
    } else if (slowPeers === "suspend" || (!outbox.isFull() && !outbox.isOpenForMessages)) {
      // Above the mark, or behind a message in fragments that is below it.
      this.wait(connection)
    } else if (!outbox.isFull() || (slowPeers === "dropOldest" && outbox.dropOldest())) {
      this.give(connection)
    } else {
      this.missed.push(connection)
      if (slowPeers === "close") {
        lifecycle.startClose({ code: CloseCode.TryAgainLater, reason: "too slow for what is broadcast" })
      }
    }
  }

  private give(connection: LiveConnection): void {
    try {
      this.shared.put(connection)
      this.sent++
    } catch {
      // An extension of that connection has failed, and the others have nothing to do with it.
      this.missed.push(connection)
    }
  }

  private wait(connection: LiveConnection): void {
    const one = Effect.match(
      connection.inTurn(() => this.shared.put(connection)),
      {
        onSuccess: () => void this.sent++,
        onFailure: () => void this.missed.push(connection)
      }
    )
    if (this.waiting === undefined) this.waiting = [one]
    else this.waiting.push(one)
  }

  /** Completes when nobody is waited for any more. */
  get report(): Effect.Effect<BroadcastReport> {
    const report = Effect.sync((): BroadcastReport => ({ sent: this.sent, missed: this.missed }))
    const { waiting } = this
    if (waiting === undefined) return report
    return pipe(
      Effect.forEach(waiting, (one) => one, { concurrency: "unbounded", discard: true }),
      Effect.zipRight(report)
    )
  }
}

export const broadcast = (
  all: ReadonlyArray<LiveConnection>,
  hasExtensions: boolean,
  message: Message,
  { compress, slowPeers = "close", to }: BroadcastOptions
): Effect.Effect<BroadcastReport> => {
  const deliver = (connections: ReadonlyArray<LiveConnection>, shared: Shared): Effect.Effect<BroadcastReport> => {
    const delivery = new Delivery(shared, slowPeers)
    for (const connection of connections) delivery.to(connection)
    return delivery.report
  }
  if (!hasExtensions && to === undefined) {
    // One look at each is enough: with thousands of connections another one is at memory that has left the caches.
    const delivery = new Delivery(new Shared(message, compress, undefined), slowPeers)
    for (const connection of all) if (connection.lifecycle.isOpen) delivery.to(connection)
    return delivery.report
  }
  const connections = all.filter((one) => one.lifecycle.isOpen && (to === undefined || to(one)))
  const shared = share(connections, message, compress)
  if (typeof shared !== "function") return deliver(connections, shared)
  // Nobody has it before all can have it, so that two broadcasts come in the same order everywhere.
  return Effect.async<BroadcastReport>((resume) =>
    shared((shared) => resume(Effect.suspend(() => deliver(connections, shared))))
  )
}
