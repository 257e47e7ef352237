import { Cause, Duration, Effect, type Exit, type Fiber, Option, type Scope, Stream } from "effect"
import { Connection, Framing, type Transport } from "effect-websockets"
import { NodeDeflate } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { makeEngine } from "../../src/deadlines.js"
import { openAlone, unknownHandshake } from "../../src/liveConnection.js"
import type { Codec } from "../../src/protocol/Extension.js"
import * as Frame from "../../src/protocol/Frame.js"
import { FrameDecoder, type Options } from "../../src/protocol/FrameDecoder.js"
import { resolve } from "../../src/settings.js"
import { makeManualClock } from "./clock.js"
import { compressedStream } from "./compressed.js"
import { codecOf, readAll } from "./deflate.js"
import { type Mode, roleOf, usage } from "./mode.js"
import { Random } from "./random.js"
import { chunks, stream } from "./streams.js"

/**
 * A whole connection in memory: a peer that says anything, a program that calls
 * anything, a wire that stalls. Once the peer has ended, so does the connection,
 * and nobody waits for it any more.
 */

const closeTimeout = 10_000

/** Lets everything happen that can happen without time passing. */
const settle: Effect.Effect<void> = Effect.promise(
  () =>
    new Promise<void>((resolve) => {
      let turns = 0
      const next = () => (++turns < 6 ? setImmediate(next) : resolve())
      next()
    })
)

/** Waits a little in real time for what has to be so: now and then the wire goes by a timer, to let other input in. */
const eventually = (condition: () => boolean): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    for (let turn = 0; turn < 20 && !condition(); turn++) await new Promise((resolve) => setTimeout(resolve, turn))
    return condition()
  })

type Running = Fiber.RuntimeFiber<unknown, unknown>

/** Begins what may wait, and remembers it. */
const start = (effect: Effect.Effect<unknown, unknown>, running: Array<Running>) =>
  Effect.tap(Effect.forkScoped(effect), (fiber) => Effect.sync(() => running.push(fiber)))

interface Case {
  readonly random: Random
  readonly connection: Connection.Connection
  readonly peer: Testing.Peer
  readonly wire: Testing.Wire
  /** Lets time pass, in milliseconds. */
  readonly adjust: (milliseconds: number) => Effect.Effect<void>
  /** What takes messages, and whatever else has been called and may wait. */
  readonly readers: Array<Running>
  readonly callers: Array<Running>
}

const message = (random: Random): Connection.Message => {
  const length = random.oneIn(50) ? 70_000 : random.below(300)
  return random.oneIn(2) ? "é".repeat(length) : new Uint8Array(length).fill(random.below(256))
}

const messages = (random: Random): ReadonlyArray<Connection.Message> =>
  Array.from({ length: random.below(5) }, () => message(random))

/** Parts of one type, sometimes after a pause, sometimes with a failure at the end. */
const fragments = (random: Random): Stream.Stream<Connection.Message, string> => {
  const isText = random.oneIn(2)
  const parts = Array.from({ length: random.below(5) }, () => (isText ? "ü".repeat(random.below(99)) : random.bytes(9)))
  const stream: Stream.Stream<Connection.Message> = random.oneIn(3)
    ? Stream.fromEffect(Effect.sleep("3 seconds")).pipe(Stream.drain, Stream.concat(Stream.fromIterable(parts)))
    : Stream.fromIterable(parts)
  return random.oneIn(5) ? Stream.concat(stream, Stream.fail("no more")) : stream
}

type Call = (random: Random, connection: Connection.Connection) => Effect.Effect<unknown, unknown>

/** What takes messages. */
const takers: ReadonlyArray<Call> = [
  (_, connection) => connection.receive,
  (_, connection) => connection.receiveText,
  (_, connection) => connection.receiveBytes,
  (_, connection) => connection.receiveAll,
  (_, connection) => Stream.runDrain(connection.messages),
  (_, connection) => Stream.runDrain(connection.receiveFragments),
  (_, connection) => Stream.runDrain(Stream.take(connection.receiveFragments, 1)),
  (_, connection) => Connection.runForEach(connection, (message) => connection.send(message)),
  (random, connection) => Connection.runForEach(connection, () => Effect.sleep(random.below(2000))),
  (_, connection) => Connection.runForEachChunk(connection, (all) => connection.sendAll(all))
]

/** What else a program calls. */
const calls: ReadonlyArray<Call> = [
  (random, connection) => connection.send(message(random)),
  (random, connection) => connection.send("ä".repeat(random.below(99)), { type: random.pick(["text", "binary"]) }),
  (random, connection) => connection.sendAll(messages(random)),
  (random, connection) => connection.sendFragments(fragments(random)),
  (_, connection) => connection.ping,
  (random, connection) => connection.pong(random.bytes(random.below(126))),
  (_, connection) => Effect.all([connection.state, connection.latency, connection.bufferedAmount]),
  (_, connection) => connection.closed,
  (random, connection) =>
    random.oneIn(3)
      ? connection.close({ code: random.pick([1000, 3000, 4999]), reason: "ö".repeat(random.below(60)) })
      : Effect.void
]

/** One thing that happens between two chunks of the peer. */
const step = ({ random, connection, peer, wire, adjust, readers, callers }: Case) => {
  const turn = random.below(24)
  if (turn < 5) return start(random.pick(takers)(random, connection), readers)
  if (turn < 12) return start(random.pick(calls)(random, connection), callers)
  switch (turn) {
    case 12:
      return wire.stall
    case 13:
      return wire.flow
    case 14:
      return peer.pause
    case 15:
      return peer.resume
    case 16:
      return wire.split(1 + random.below(9))
    case 17:
      return random.oneIn(3) ? adjust(random.below(25_000)) : Effect.void
    case 18:
    case 19: {
      const running = random.oneIn(2) ? readers : callers
      const fiber = running.length === 0 ? undefined : random.pick(running)
      return Effect.sync(() => fiber?.unsafeInterruptAsFork(fiber.id()))
    }
    case 20:
    case 21:
      return settle
    default:
      return Effect.yieldNow()
  }
}

/** What a fiber's end tells of a fault; failing because the connection is over, or is read already, is none. */
const defectOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (exit._tag === "Success") return undefined
  const defect = Cause.dieOption(exit.cause)
  if (Option.isSome(defect)) return `a defect: ${String(defect.value)}`
  for (const error of Cause.failures(exit.cause)) {
    const tag = typeof error === "string" ? error : (error as { readonly _tag?: string })._tag
    if (
      tag !== "ConnectionClosed" &&
      tag !== "ConcurrencyError" &&
      tag !== "UnexpectedMessageType" &&
      tag !== "no more"
    ) {
      return `an error that no call has: ${String(tag)}`
    }
  }
  return undefined
}

/** Whether what we have written is what a peer may expect: frames of our role, and nothing behind a close frame. */
const checkWritten = (role: Connection.Role, bytes: Uint8Array): string | undefined => {
  let expected: Uint8Array | undefined
  const unlimited = { maxMessageSize: Infinity, maxFrameSize: Infinity, maxFragments: Infinity }
  const parts: Options = {
    role: role === "client" ? "server" : "client",
    receiver: {
      message: () => {},
      fragment: () => {},
      ping: () => {},
      pong: () => {},
      close: (close) => {
        expected = Frame.serialize(Frame.close(close), role === "client" ? 0 : undefined)
      }
    }
  }
  const decoder = new FrameDecoder(parts, unlimited)
  // Decoding takes the mask off where the bytes lie, and what is read is not needed.
  const violation = decoder.decode(bytes)
  if (violation !== undefined) return `what we write is refused: ${violation.reason}`
  if (expected === undefined) return undefined
  const last = bytes.subarray(bytes.length - expected.length)
  return last[0] === expected[0] && last[1] === expected[1] ? undefined : "something is written behind the close frame"
}

/** The same where messages are compressed: what we write is all inflated by another inflater, message after message. */
const checkCompressed = (role: Connection.Role, bytes: Uint8Array, seed: number): Effect.Effect<string | undefined> => {
  const other = role === "client" ? "server" : "client"
  const limits = { maxMessageSize: 2 ** 28, maxFrameSize: 2 ** 28, maxFragments: 2 ** 28 }
  const codec = codecOf(NodeDeflate.portable, other, seed)
  return Effect.map(
    Effect.promise(() => readAll([bytes], { role: other, limits, codec })),
    ({ code, reason }) => (code === undefined ? undefined : `what we write is refused: ${reason}`)
  )
}

/** A connection whose handshake has agreed on an extension. */
const open = (
  role: Connection.Role,
  stream: Transport.ByteStream,
  options: Connection.ConnectionOptions,
  codec: Codec
) =>
  Effect.gen(function* () {
    const { maskingKeys, pingPayloads } = yield* Framing.Framing
    const engine = yield* makeEngine
    const settings = resolve(options)
    const handshake = unknownHandshake
    return yield* Effect.acquireRelease(
      Effect.sync(() =>
        openAlone(engine, { role, stream, settings, codecs: [codec], maskingKeys, pingPayloads, handshake })
      ),
      (connection) => connection.close()
    )
  })

/** What a case's seed agrees on with the peer, if anything. */
type CodecOf = ((role: Connection.Role, seed: number) => Codec) | undefined

const program = (
  input: Uint8Array,
  seed: number,
  adjust: Case["adjust"],
  codecFor: CodecOf
): Effect.Effect<string | undefined, never, Scope.Scope> =>
  Effect.gen(function* () {
    const random = new Random(usage(seed))
    const role = roleOf(seed)
    const { stream, peer, wire } = yield* Testing.makePair
    const options = {
      closeTimeout,
      maxMessageSize: random.pick([1000, 1_048_576]),
      maxFragments: random.pick([8, 1000]),
      receiveHighWaterMark: random.pick([1, 500, 262_144]),
      sendHighWaterMark: random.pick([1, 500, 262_144])
    }
    const codec = codecFor?.(role, seed)
    const connection = yield* codec === undefined
      ? Connection.make(role, stream, options)
      : open(role, stream, options, codec)
    yield* Effect.addFinalizer(() => wire.cut)
    const given: Case = { random, connection, peer, wire, adjust, readers: [], callers: [] }
    if (random.oneIn(2)) yield* start(random.pick(takers)(random, connection), given.readers)
    // Some dozens of chunks are enough: what is left comes at once.
    const pieces = chunks(random, input)
    for (const piece of pieces.slice(0, 40)) {
      yield* peer.write(piece)
      while (random.oneIn(2)) yield* step(given)
    }
    for (const piece of pieces.slice(40)) yield* peer.write(piece)
    if (random.oneIn(10)) yield* wire.cut
    const found = yield* finish(given)
    if (found !== undefined) return found
    const written = yield* wire.sentByServer
    return codec === undefined ? checkWritten(role, written) : yield* checkCompressed(role, written, seed)
  })

/** The peer ends, the program takes what there is, and then all has to be over. */
const finish = ({ connection, peer, wire, adjust, readers, callers }: Case) =>
  Effect.gen(function* () {
    yield* wire.flow
    yield* peer.resume
    yield* peer.end
    yield* settle
    // What a handler is busy with has this time; then one reader takes the rest.
    yield* adjust(3000)
    for (const fiber of readers) yield* Effect.sync(() => fiber.unsafeInterruptAsFork(fiber.id()))
    yield* settle
    const late: Array<Running> = []
    yield* start(Effect.forever(connection.receiveAll), late)
    yield* settle
    yield* adjust(closeTimeout)
    yield* settle
    const isClosed = () => Effect.runSync(connection.state)._tag === "Closed"
    if (!(yield* eventually(isClosed))) return "the connection is not Closed after the peer's end and closeTimeout"
    for (const call of [connection.receive, connection.send("late"), connection.ping, connection.closed])
      yield* start(call, late)
    yield* settle
    const all = [...readers, ...callers, ...late]
    if (!(yield* eventually(() => all.every((fiber) => fiber.unsafePoll() !== null))))
      return "somebody still waits after Closed"
    for (const fiber of all) {
      const exit = fiber.unsafePoll()
      const defect = exit === null ? undefined : defectOf(exit)
      if (defect !== undefined) return defect
    }
    if (late.slice(0, 4).some((fiber) => fiber.unsafePoll()?._tag === "Success"))
      return "something is delivered or sent after Closed"
    return undefined
  })

/** Real time after which a case hangs. */
const PATIENCE = Duration.seconds(5)

/** Runs a case and hears of what nobody handles. */
const watched = async (effect: Effect.Effect<string | undefined>): Promise<string | undefined> => {
  let unhandled: string | undefined
  const hear = (error: unknown) => {
    unhandled ??= `nobody handles: ${error instanceof Error ? error.message : String(error)}`
  }
  process.on("unhandledRejection", hear)
  process.on("uncaughtException", hear)
  const hang = new Promise<string>((resolve) => {
    setTimeout(() => resolve("the case does not end"), Duration.toMillis(PATIENCE)).unref()
  })
  try {
    return (await Promise.race([Effect.runPromise(effect), hang])) ?? unhandled
  } finally {
    process.off("unhandledRejection", hear)
    process.off("uncaughtException", hear)
  }
}

const modeOf = (name: string, generate: Mode["generate"], codecFor: CodecOf): Mode => ({
  name,
  generate,
  check: (input, seed) => {
    const { clock, adjust } = makeManualClock(settle)
    // The same masking keys and ping payloads each time, so that a case can be repeated.
    const whole = Effect.scoped(program(input, seed, adjust, codecFor)).pipe(Effect.provide(Testing.layerKeys))
    return watched(Effect.withClock(whole, clock))
  }
})

export const connection: Mode = modeOf("connection", (random, seed) => stream(random, roleOf(seed)), undefined)

/** The same with permessage-deflate, by both ways to compress. */
export const compressing: Mode = modeOf("compressing", compressedStream, (role, seed) =>
  codecOf((seed & 256) === 0 ? NodeDeflate.service : NodeDeflate.portable, role, seed)
)
