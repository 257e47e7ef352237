import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import type { BroadcastOptions, BroadcastReport } from "./ConnectionRegistry.js"
import type { Message } from "./inbox.js"
import type { Lifecycle } from "./lifecycle.js"
import type { LiveConnection } from "./liveConnection.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Codec, Common, Eventual } from "./protocol/Extension.js"
import * as Frame from "./protocol/Frame.js"
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
      return outbox.message(this.message, this.compress)
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

const share = (
  connections: ReadonlyArray<LiveConnection>,
  message: Message,
  compress: boolean | undefined
): Eventual<Shared> => {
  const codec = leastOf(connections)
  const common = codec?.common
  if (codec === undefined || common === undefined) return new Shared(message, compress, undefined)
  const withFrame = (frame: Uint8Array | undefined) => new Shared(message, compress, { codec, common, frame })
  const encoded = common.encode(bytesOf(message), compress)
  if (typeof encoded === "function") {
    return (done) => encoded((payload) => done(withFrame(frameOf(message, payload, codec.rsv))))
  }
  return withFrame(encoded === undefined ? undefined : frameOf(message, encoded, codec.rsv))
}

export const broadcast = (
  all: Iterable<LiveConnection>,
  message: Message,
  { compress, slowPeers = "close", to }: BroadcastOptions
): Effect.Effect<BroadcastReport> => {
  const connections = [...all].filter(
    (connection) => connection.lifecycle.isOpen && (to === undefined || to(connection))
  )
  const shared = share(connections, message, compress)
  if (typeof shared !== "function") return distribute(connections, shared, slowPeers)
  return Effect.async<BroadcastReport>((resume) =>
    shared((shared) => resume(Effect.suspend(() => distribute(connections, shared, slowPeers))))
  )
}

const distribute = (
  connections: ReadonlyArray<LiveConnection>,
  shared: Shared,
  slowPeers: NonNullable<BroadcastOptions["slowPeers"]>
): Effect.Effect<BroadcastReport> => {
  let sent = 0
  const missed: Array<LiveConnection> = []
  const give = (connection: LiveConnection): void => {
    try {
      shared.put(connection)
      sent++
    } catch {
      // An extension of that connection has failed, and the others have nothing to do with it.
      missed.push(connection)
    }
  }
  const waiting: Array<Effect.Effect<void>> = []
  const wait = (connection: LiveConnection): void => {
    waiting.push(
      Effect.match(
        connection.inTurn(() => shared.put(connection)),
        {
          onSuccess: () => void sent++,
          onFailure: () => void missed.push(connection)
        }
      )
    )
  }
  for (const connection of connections) {
    const { lifecycle } = connection
    const { outbox } = lifecycle
    if (!lifecycle.isOpen) {
      // Closed meanwhile, as the message took its time to encode.
      missed.push(connection)
    } else if (outbox.isFree) {
      give(connection)
    } else if (slowPeers === "suspend" || (!outbox.isFull() && !outbox.isOpenForMessages)) {
      // Above the mark, or behind a message in fragments that is below it.
      wait(connection)
    } else if (!outbox.isFull() || (slowPeers === "dropOldest" && outbox.dropOldest())) {
      give(connection)
    } else {
      missed.push(connection)
      if (slowPeers === "close") {
        lifecycle.startClose({ code: CloseCode.TryAgainLater, reason: "too slow for what is broadcast" })
      }
    }
  }
  const report = Effect.sync((): BroadcastReport => ({ sent, missed }))
  return pipe(
    Effect.forEach(waiting, (one) => one, { concurrency: "unbounded", discard: true }),
    Effect.zipRight(report)
  )
}
