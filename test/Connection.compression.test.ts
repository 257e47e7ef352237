import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Layer, Stream, TestClock } from "effect"
import {
  Connection,
  ConnectionClosed,
  ConnectionRegistry,
  Deflate,
  type Extension,
  Framing,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { NodeDeflate } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { LiveConnection } from "../src/liveConnection.js"
import { hex, settle } from "./support.js"

/** Compression between a client and a handler, in memory; and extensions that answer when the test says so. */

const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

const compression = { compression: { threshold: 0 } }

const connect = (handler: (connection: Connection.Connection) => Effect.Effect<unknown, unknown>, options = {}) =>
  Testing.connect(handler, { server: { ...compression, ...options }, client: { ...compression, ...options } })

const isSame = (one: Connection.Message, other: Connection.Message) =>
  typeof one === "string" ? one === other : Buffer.compare(one, other as Uint8Array) === 0

/** Of every kind and size: those above 32 KiB take their time. */
const messages: ReadonlyArray<Connection.Message> = [
  "",
  "a",
  "é€😀".repeat(5000),
  new Uint8Array(0),
  "x".repeat(40_000),
  Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) >> 3),
  "short",
  Uint8Array.from({ length: 70_000 }, () => 7),
  "z".repeat(32_768)
]

describe.each([
  ["what Node brings along", NodeDeflate.layer],
  ["documented calls", Deflate.layer(NodeDeflate.portable)]
] as const)("D6: compression by %s", (_, layer) => {
  it.scoped("keeps the content, the type and the order of all messages, both ways", () =>
    Effect.gen(function* () {
      const connection = yield* connect(echo)
      assert.deepStrictEqual(
        connection.handshake.extensions.map(({ name }) => name),
        ["permessage-deflate"]
      )
      yield* Effect.fork(connection.sendAll([...messages, ...messages]))
      for (const message of [...messages, ...messages]) assert.isTrue(isSame(message, yield* connection.receive))
      yield* Effect.forEach(messages, (message) => connection.send(message), {
        concurrency: "unbounded",
        discard: true
      })
      for (const message of messages) assert.isTrue(isSame(message, yield* connection.receive))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("is used from the threshold on, unless the sender of a message wants otherwise", () => {
    const compressed: Array<number> = []
    const counted = Effect.map(Deflate.Deflate, (service): Deflate.Service => {
      assert.isDefined(service)
      return {
        ...service,
        deflater: (options) => {
          const deflater = service.deflater(options)
          return {
            deflate: (payload) => {
              compressed.push(payload.length)
              return deflater.deflate(payload)
            },
            reset: () => deflater.reset(),
            end: () => deflater.end()
          }
        }
      }
    })
    return Effect.gen(function* () {
      const connection = yield* Testing.connect(
        ({ closed, send }) =>
          Effect.gen(function* () {
            yield* send("x".repeat(1023))
            yield* send("x".repeat(1024))
            yield* send("x".repeat(2000), { compress: false })
            yield* send("x", { compress: true, type: "binary" })
            yield* closed
          }),
        { server: { compression: true }, client: { compression: true } }
      )
      const lengths = yield* Effect.replicateEffect(connection.receive, 4)
      assert.deepStrictEqual(
        lengths.map(({ length }) => length),
        [1023, 1024, 2000, 1]
      )
      assert.deepStrictEqual(compressed, [1024, 1])
    }).pipe(Effect.provideServiceEffect(Deflate.Deflate, counted), Effect.provide(layer))
  })
})

/** An extension whose results come when the test says so, and that counts its ends. */
const manual = () => {
  const waiting: Array<() => void> = []
  const ends: Array<number> = []
  const later = (payload: Uint8Array): Extension.Eventual<Uint8Array> => {
    const copy = Uint8Array.from(payload)
    return (done) => void waiting.push(() => done(copy))
  }
  const codec: Extension.Codec = {
    rsv: 4,
    encode: (payload, compress) => (compress === false ? undefined : compress === true ? later(payload) : payload),
    decode: (payload) => (payload[0] === 0xff ? later(payload) : payload),
    end: () => void ends.push(1)
  }
  const extension: Extension.Extension = {
    name: "x-manual",
    offers: [[]],
    answer: () => ({ parameters: [], codec }),
    accept: () => ({ ...codec, encode: (payload) => payload, decode: (payload) => payload })
  }
  /** The oldest result comes. */
  const release = Effect.suspend(() => {
    waiting.shift()?.()
    return settle
  })
  return { waiting, ends, release, layer: Framing.layer({ extensions: [extension] }) }
}

/** A message that the manual extension takes its time to decode, and one that it decodes at once. */
const slow = Uint8Array.of(0xff, 1)
const fast = Uint8Array.of(0x01)

describe("D7: a message that an extension takes its time to decode", () => {
  it.scoped("comes before what was sent behind it, and before the end", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const seen: Array<number> = []
      const ended = yield* Deferred.make<boolean>()
      const connection = yield* Testing.connect((peer) =>
        Connection.runForEach(peer, (message) => Effect.sync(() => void seen.push(message.length))).pipe(
          Effect.andThen(Deferred.succeed(ended, true))
        )
      )
      yield* connection.send(slow)
      yield* connection.send(fast)
      const closing = yield* Effect.fork(connection.close())
      yield* settle
      assert.deepStrictEqual(seen, [])
      yield* release
      assert.deepStrictEqual(seen, [2, 1])
      assert.isTrue(yield* Deferred.await(ended))
      assert.isTrue(ConnectionClosed.isClean(yield* Fiber.join(closing)))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("comes before the loss of the connection", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const received = yield* Deferred.make<ReadonlyArray<unknown>>()
      const connection = yield* Testing.connect((peer) =>
        Effect.gen(function* () {
          const message = yield* peer.receive
          yield* Deferred.succeed(received, [message, yield* Effect.flip(peer.receive)])
        })
      )
      yield* connection.send(slow)
      yield* settle
      yield* Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)
      yield* settle
      assert.isFalse(yield* Deferred.isDone(received))
      yield* release
      const [message, error] = yield* Deferred.await(received)
      assert.deepStrictEqual(message, slow)
      assert.strictEqual(ConnectionClosed.code(error as ConnectionClosed.ConnectionClosed), 1006)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("stops the reading meanwhile, and no deadline of the peer's runs", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const connection = yield* Testing.connect(echo, {
        server: { messageTimeout: "1 seconds", pingTimeout: "1 seconds" },
        client: { pingInterval: Duration.infinity }
      })
      yield* connection.send(slow)
      yield* settle
      yield* TestClock.adjust("2 minutes")
      yield* connection.send(fast)
      yield* settle
      assert.strictEqual((yield* connection.state)._tag, "Open")
      yield* release
      assert.deepStrictEqual(yield* connection.receive, slow)
      assert.deepStrictEqual(yield* connection.receive, fast)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("does not hold up a close of ours", () => {
    const { release, layer, ends } = manual()
    return Effect.gen(function* () {
      const closed = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      const connection = yield* Testing.connect((peer) =>
        Effect.gen(function* () {
          yield* peer.receive
          yield* settle
          yield* Deferred.complete(closed, peer.close())
        })
      )
      yield* connection.send(fast)
      yield* connection.send(slow)
      yield* settle
      assert.deepStrictEqual(ends, [])
      yield* release
      assert.isTrue(ConnectionClosed.isClean(yield* Deferred.await(closed)))
      assert.deepStrictEqual(ends, [1, 1])
    }).pipe(Effect.provide(layer))
  })
})

describe("D7: a message that an extension takes its time to encode", () => {
  /** A server's end of a connection that the test sends on. */
  const opened = Effect.gen(function* () {
    const given = yield* Deferred.make<Connection.Connection>()
    const connection = yield* Testing.connect((peer) => Effect.zipRight(Deferred.succeed(given, peer), peer.closed))
    return { connection, peer: yield* Deferred.await(given) }
  })

  it.scoped("is overtaken by no message, but by pings", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const { connection, peer } = yield* opened
      const sending = yield* Effect.fork(peer.send("slow", { compress: true }))
      yield* settle
      const others = yield* Effect.fork(
        Effect.zipRight(peer.send("second"), peer.sendFragments(Stream.make("th", "ird")))
      )
      const all = yield* Effect.fork(peer.sendAll(["fourth", "fifth"]))
      yield* settle
      assert.strictEqual(yield* peer.bufferedAmount, 4)
      yield* peer.ping
      assert.isNull(sending.unsafePoll())
      assert.isNull(others.unsafePoll())
      yield* release
      yield* Fiber.joinAll([sending, others, all])
      const received = [...(yield* connection.receiveAll)]
      while (received.length < 5) received.push(yield* connection.receive)
      assert.strictEqual(received[0], "slow")
      assert.sameMembers(received, ["slow", "second", "third", "fourth", "fifth"])
      assert.isBelow(received.indexOf("fourth"), received.indexOf("fifth"))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is waited for by a broadcast", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const build = Layer.build(
        Layer.merge(
          WebSocketServer.layer((peer) => Effect.zipRight(peer.send("slow", { compress: true }), peer.closed)),
          WebSocketClient.layer
        ).pipe(Layer.provideMerge(Testing.layer))
      )
      const context = yield* build
      yield* Effect.gen(function* () {
        const connection = yield* WebSocketClient.connect("ws://memory/")
        yield* settle
        const registry = yield* ConnectionRegistry.ConnectionRegistry
        const broadcast = yield* Effect.fork(registry.broadcast("to all"))
        yield* settle
        assert.isNull(broadcast.unsafePoll())
        yield* release
        assert.strictEqual((yield* Fiber.join(broadcast)).sent, 1)
        assert.strictEqual(yield* connection.receive, "slow")
        assert.strictEqual(yield* connection.receive, "to all")
      }).pipe(Effect.provide(context))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("does not leave behind our close frame", () => {
    const { release, layer, waiting } = manual()
    return Effect.gen(function* () {
      const { connection, peer } = yield* opened
      const wire = yield* Testing.wireOf(connection)
      const sending = yield* Effect.fork(Effect.flip(peer.send("slow", { compress: true })))
      yield* settle
      // Its answer does not come yet, so that we are between the two close frames.
      yield* wire.stall
      yield* Effect.fork(peer.close())
      yield* settle
      assert.lengthOf(waiting, 1)
      yield* release
      assert.strictEqual(hex(yield* wire.sentByServer).slice(-8), "880203e8")
      yield* wire.flow
      assert.strictEqual((yield* Fiber.join(sending))._tag, "ConnectionClosed")
    }).pipe(Effect.provide(layer))
  })

  it.scoped("lets no broadcast pass that drops older ones", () =>
    Effect.gen(function* () {
      const options = { compression: true, sendHighWaterMark: 100_000, maxMessageSize: 1e7 }
      const context = yield* Layer.build(
        Layer.merge(
          WebSocketServer.layer(({ closed }) => closed, options),
          WebSocketClient.layer
        ).pipe(Layer.provideMerge(Testing.layer))
      )
      yield* Effect.gen(function* () {
        const connection = yield* WebSocketClient.connect("ws://memory/", options)
        yield* settle
        const registry = yield* ConnectionRegistry.ConnectionRegistry
        const [peer] = yield* registry.connections
        const wire = yield* Testing.wireOf(connection)
        yield* wire.stall
        yield* Effect.fork(peer!.send(new Uint8Array(70_000), { compress: false }))
        yield* settle
        yield* registry.broadcast("older".repeat(400))
        const large = Array.from({ length: 2_000_000 }, (_, i) => "abcdefgh"[(i * i) % 7]).join("")
        yield* Effect.fork(peer!.send(large))
        yield* Effect.yieldNow()
        // A thread of zlib's is at work: a compressor that is touched now would end the process.
        const report = yield* registry.broadcast("newer".repeat(400), { slowPeers: "dropOldest" })
        assert.deepStrictEqual([report.sent, report.missed.length], [0, 1])
        yield* wire.flow
        assert.lengthOf(yield* connection.receiveBytes, 70_000)
        assert.strictEqual(yield* connection.receive, "older".repeat(400))
        assert.isTrue(large === (yield* connection.receive))
      }).pipe(Effect.provide(context))
    }).pipe(Effect.provide(NodeDeflate.layer))
  )

  it.scoped("is sent when its sender is interrupted, as it has been accepted", () => {
    const { release, layer } = manual()
    return Effect.gen(function* () {
      const { connection, peer } = yield* opened
      const sending = yield* Effect.fork(peer.send("slow", { compress: true }))
      yield* settle
      assert.isTrue(
        Cause.isInterruptedOnly(
          Exit.match(yield* Fiber.interrupt(sending), { onFailure: (cause) => cause, onSuccess: () => Cause.empty })
        )
      )
      const next = yield* Effect.fork(peer.send("next"))
      yield* settle
      assert.isNull(next.unsafePoll())
      yield* release
      yield* Fiber.join(next)
      assert.strictEqual(yield* connection.receive, "slow")
      assert.strictEqual(yield* connection.receive, "next")
    }).pipe(Effect.provide(layer))
  })

  it.scoped("fails with ConnectionClosed where the connection ends first, and the result comes to nobody", () => {
    const { release, layer, waiting } = manual()
    return Effect.gen(function* () {
      const { connection, peer } = yield* opened
      const sending = yield* Effect.fork(Effect.flip(peer.send("slow", { compress: true })))
      const behind = yield* Effect.fork(Effect.flip(peer.send("behind")))
      yield* settle
      yield* connection.close()
      assert.strictEqual((yield* Fiber.join(sending))._tag, "ConnectionClosed")
      assert.strictEqual((yield* Fiber.join(behind))._tag, "ConnectionClosed")
      assert.lengthOf(waiting, 1)
      yield* release
      assert.strictEqual((yield* peer.state)._tag, "Closed")
    }).pipe(Effect.provide(layer))
  })
})

describe("D6: what a peer has compressed", () => {
  const bytes = Uint8Array.from({ length: 1_048_576 }, (_, i) => (Math.imul(i ^ (i >>> 7), 0x9e3779b1) >>> 13) & 0xff)

  it.scoped("is taken up to exactly maxMessageSize, also where it could not be made smaller", () =>
    Effect.gen(function* () {
      const connection = yield* connect(echo)
      yield* connection.send(bytes)
      assert.isTrue(isSame(bytes, yield* connection.receive))
    }).pipe(Effect.provide(NodeDeflate.layer))
  )

  it.scoped("is inflated as its reader takes it, not all that a chunk holds", () =>
    Effect.gen(function* () {
      const go = yield* Deferred.make<void>()
      const given = yield* Deferred.make<Connection.Connection>()
      const lengths: Array<number> = []
      const connection = yield* connect((peer) =>
        Effect.zipRight(
          Deferred.succeed(given, peer),
          Effect.zipRight(
            Deferred.await(go),
            Connection.runForEach(peer, ({ length }) => Effect.sync(() => void lengths.push(length)))
          )
        )
      )
      // 33 messages of a megabyte are 33 kB.
      yield* connection.sendAll(Array.from({ length: 33 }, () => new Uint8Array(1_000_000)))
      yield* settle
      const peer = yield* Deferred.await(given)
      assert(peer instanceof LiveConnection)
      assert.strictEqual(peer.lifecycle.inbox.takeAll().length, 1)
      yield* Deferred.succeed(go, undefined)
      yield* connection.close()
      assert.deepStrictEqual(
        lengths,
        Array.from({ length: 32 }, () => 1_000_000)
      )
    }).pipe(Effect.provide(NodeDeflate.layer))
  )
})

describe("D6: what compresses", () => {
  /** Compressors that are counted while they live. */
  const counting = () => {
    const live = { now: 0, made: 0 }
    const counted = <A extends { readonly end: () => void }>(one: A): A => {
      const end = () => {
        live.now--
        one.end()
      }
      live.now++
      live.made++
      return Object.create(one, { end: { value: end } }) as A
    }
    const service: Deflate.Service = {
      deflater: (options) => counted(NodeDeflate.service.deflater(options)),
      inflater: (options) => counted(NodeDeflate.service.inflater(options))
    }
    return { live, layer: Deflate.layer(service) }
  }

  it.effect.each<readonly [string, (connection: Connection.Connection) => Effect.Effect<unknown>]>([
    ["closes", (connection) => connection.close()],
    ["is cut off", (connection) => Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut)],
    ["leaves its scope", () => Effect.void],
    [
      "closes while a large message is compressed",
      (connection) => Effect.zipRight(Effect.fork(connection.send("x".repeat(1e6))), connection.close())
    ]
  ])("is made with the first message and freed when a client %s", ([, end]) => {
    const { live, layer } = counting()
    return Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const connection = yield* connect(echo)
          yield* settle
          assert.strictEqual(live.made, 0)
          yield* connection.send("hello")
          yield* connection.receive
          assert.strictEqual(live.now, 4)
          yield* end(connection)
        })
      )
      yield* settle
      assert.strictEqual(live.now, 0)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is missed where nothing brings it, which is the programmer's fault", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(connect(echo))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "provide Deflate")
    })
  )
})
