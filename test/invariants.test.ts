import { assert, describe, it } from "@effect/vitest"
import {
  Duration,
  Effect,
  ExecutionStrategy,
  Exit,
  Fiber,
  FiberId,
  Layer,
  Scheduler,
  Scope,
  Stream,
  TestClock
} from "effect"
import { Connection, ConnectionClosed, type Transport, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { handlerScheduler } from "../src/handlerScheduler.js"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, plain, readBytes, settle } from "./support.js"

const bye = { code: 1000, reason: "" }

/** A stream that answers our close frame with one of its own while that is still being written. */
const answersAtOnce = (answer: Uint8Array): Transport.ByteStream & { readonly written: Array<string> } => {
  let sink: Transport.Sink | undefined
  const written: Array<string> = []
  return {
    written,
    attach: (attached) => {
      sink = attached
    },
    write: (bytes) => {
      written.push(hex(bytes))
      sink!.data(answer.slice())
      return "sent"
    },
    pause: () => {},
    resume: () => {},
    bufferedAmount: () => 0,
    end: () => {
      if (written.includes("end")) return
      written.push("end")
      sink!.end()
    },
    destroy: () => sink!.closed(undefined),
    remoteAddress: () => undefined,
    localAddress: () => undefined
  }
}

describe("invariant 1, one transition", () => {
  it.scoped("the state is set before the bytes leave: an answer that comes synchronously finds it", () =>
    Effect.gen(function* () {
      const stream = answersAtOnce(masked(Frame.close(bye)))
      const connection = yield* Connection.make("server", stream)
      const closed = yield* connection.close()
      assert.isTrue(ConnectionClosed.isClean(closed))
      assert.deepStrictEqual(stream.written, [hex(plain(Frame.close(bye))), "end"])
      assert.strictEqual((yield* connection.state)._tag, "Closed")
    })
  )

  it.scoped("the state only goes forward", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream)
      const seen: Array<string> = []
      const note = Effect.map(connection.state, ({ _tag }) => seen.push(_tag))
      yield* note
      const closing = yield* Effect.fork(connection.close())
      yield* Effect.yieldNow()
      yield* note
      yield* peer.write(masked(Frame.close(bye)))
      yield* settle
      yield* note
      yield* peer.end
      yield* Fiber.join(closing)
      yield* note
      assert.deepStrictEqual(seen, ["Open", "Closing", "Draining", "Closed"])
    })
  )
})

describe("invariant 2, never deliver under a lock", () => {
  it.scoped.each([
    ["a handler's fiber", handlerScheduler],
    ["another one", Scheduler.defaultScheduler]
  ] as const)(
    "what comes while %s still writes its answers is dealt with, and so is an end behind it",
    ([, scheduler]) =>
      Effect.gen(function* () {
        let sink: Transport.Sink | undefined
        const stream: Transport.ByteStream = {
          ...answersAtOnce(new Uint8Array(0)),
          attach: (attached) => {
            sink = attached
          },
          write: () => {
            sink?.data(masked(Frame.text("last")))
            sink?.closed(undefined)
            return "sent"
          },
          destroy: () => {}
        }
        const connection = yield* Connection.make("server", stream)
        const taken: Array<Connection.Message> = []
        const handling = yield* Effect.fork(
          Effect.exit(
            Connection.runForEach(connection, (message) => {
              taken.push(message)
              return message === "first" ? connection.send(message) : Effect.void
            })
          )
        ).pipe(Effect.withScheduler(scheduler))
        yield* settle
        sink?.data(masked(Frame.text("first")))
        yield* settle
        assert.deepStrictEqual(taken, ["first", "last"])
        assert.isNotNull(handling.unsafePoll(), "it has ended")
      })
  )

  it.scoped("a full inbox stops the reading, and a sender still gets through", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { receiveHighWaterMark: 10_000 })
      const message = masked(Frame.binary(new Uint8Array(1000)))
      for (let i = 0; i < 200; i++) yield* peer.write(message)
      yield* settle
      const all: Array<Connection.Message> = []
      yield* connection.send("still here")
      const expected = plain(Frame.text("still here"))
      assert.strictEqual(hex(yield* peer.read), hex(expected))
      while (all.length < 200) {
        const batch = yield* connection.receiveAll
        // What had been read when the mark was reached, and what a stalled wire holds at most.
        assert.isAtMost(batch.length, 20)
        all.push(...batch)
        yield* settle
      }
      assert.strictEqual(all.length, 200)
      yield* peer.write(masked(Frame.close(bye)))
      yield* peer.end
    })
  )
})

describe("invariant 3, a close frees the reader", () => {
  it.scoped("unread messages do not make the close wait for its timeout", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { receiveHighWaterMark: 1000 })
      for (let i = 0; i < 50; i++) yield* peer.write(masked(Frame.binary(new Uint8Array(1000))))
      yield* settle
      const closing = yield* Effect.fork(connection.close())
      yield* settle
      yield* peer.write(masked(Frame.close(bye)))
      yield* peer.end
      // No time passes: joined without an adjustment of the clock.
      const closed = yield* Fiber.join(closing)
      assert.isTrue(ConnectionClosed.isClean(closed))
    })
  )
})

describe("invariant 4, deadlines know about the inbox", () => {
  it.scoped("a slow handler does not make keepalive end a healthy peer's connection", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, { receiveHighWaterMark: 1000 })
      for (let i = 0; i < 100; i++) yield* peer.write(masked(Frame.binary(new Uint8Array(1000))))
      yield* settle
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* connection.state)._tag, "Open")
      let received = 0
      while (received < 100) {
        received += (yield* connection.receiveAll).length
        yield* settle
      }
      assert.strictEqual((yield* connection.state)._tag, "Open")
      // Reading again, silence counts again.
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual((yield* connection.closed).closure.cause?._tag, "KeepaliveTimeout")
    })
  )
})

describe("invariant 5, Scope is the lifetime", () => {
  const exits: ReadonlyArray<readonly [string, <E>(inside: Effect.Effect<void, E>) => Effect.Effect<unknown, E>]> = [
    ["success", (inside) => inside],
    ["failure", (inside) => Effect.exit(Effect.zipRight(inside, Effect.fail("no")))],
    ["defect", (inside) => Effect.exit(Effect.zipRight(inside, Effect.die("no")))],
    [
      "interruption",
      (inside) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Effect.zipRight(inside, Effect.never))
          yield* settle
          yield* Fiber.interrupt(fiber)
        })
    ]
  ]
  it.effect.each(exits)("leaving it by %s runs the closing handshake and leaves no fiber", ([, leave]) =>
    Effect.gen(function* () {
      const before = (yield* Fiber.roots).length
      let wire: Testing.Wire | undefined
      yield* leave(
        Effect.scoped(
          Effect.gen(function* () {
            const connection = yield* Testing.connect((connection) =>
              Connection.runForEach(connection, () => Effect.void)
            )
            wire = yield* Testing.wireOf(connection)
            yield* connection.send("x")
          })
        )
      )
      const client = yield* wire!.sentByClient
      const server = yield* wire!.sentByServer
      // FIN, opcode 8, masked, two bytes: our close frame; and the server's answer.
      assert.strictEqual(hex(client.subarray(-8, -6)), "8882")
      assert.strictEqual(hex(server), "880203e8")
      yield* settle
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )

  it.effect("also inside a user's parallel Scope", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make(ExecutionStrategy.parallel)
      const inScope = Effect.provideService(Scope.Scope, scope)
      const first = yield* inScope(Testing.connect((connection) => connection.receive))
      const second = yield* inScope(Testing.connect((connection) => connection.receive))
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(ConnectionClosed.isClean(yield* first.closed))
      assert.isTrue(ConnectionClosed.isClean(yield* second.closed))
    })
  )

  it.effect("it is bounded by closeTimeout when the peer does not answer", () =>
    Effect.gen(function* () {
      const { stream } = yield* Testing.makePair
      const scope = yield* Scope.make()
      const connection = yield* Scope.extend(Connection.make("client", stream, { closeTimeout: "3 seconds" }), scope)
      const leaving = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(leaving.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(leaving)
      assert.strictEqual((yield* connection.closed).closure.cause?._tag, "CloseTimeout")
    })
  )
})

describe("invariant 6, the peer cannot make us throw, hang, or buffer without bound", () => {
  it.scoped("whatever bytes come, the connection ends with a value", () =>
    Effect.gen(function* () {
      let seed = 42
      const random = () => {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
        return seed
      }
      for (let run = 0; run < 100; run++) {
        const { stream, peer } = yield* Testing.makePair
        const connection = yield* Effect.provideService(
          Connection.make("server", stream),
          Scope.Scope,
          yield* Scope.make()
        )
        for (let i = 0; i < 5; i++) {
          yield* peer.write(Uint8Array.from({ length: 1 + (random() % 60) }, () => random() >>> 24))
        }
        yield* peer.end
        yield* settle
        yield* TestClock.adjust("10 seconds")
        assert.isDefined((yield* connection.closed).closure.cause)
      }
    })
  )
})

describe("invariant 7, no message is lost", () => {
  it.scoped("from byte 0: what was written before the connection existed is received", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      yield* peer.write(masked(Frame.text("early")))
      yield* settle
      const connection = yield* Connection.make("server", stream)
      assert.strictEqual(yield* connection.receive, "early")
      yield* peer.write(masked(Frame.close(bye)))
      yield* peer.end
    })
  )

  /** Takes messages until it is interrupted, and notes what it took. */
  const takers: ReadonlyArray<
    readonly [
      string,
      (connection: Connection.Connection, taken: Array<Connection.Message>) => Effect.Effect<unknown, unknown>
    ]
  > = [
    ["receive", ({ receive }, taken) => Effect.forever(Effect.map(receive, (message) => taken.push(message)))],
    [
      "runForEach",
      (connection, taken) =>
        Connection.runForEach(connection, (message) => {
          taken.push(message)
          return Effect.yieldNow()
        })
    ],
    [
      "a handler's runForEach, which answers some messages without its fiber",
      (connection, taken) =>
        Connection.runForEach(connection, (message) => {
          taken.push(message)
          return taken.length % 3 === 0 ? Effect.yieldNow() : connection.send("")
        }).pipe(Effect.withScheduler(handlerScheduler))
    ],
    ["receiveAll", ({ receiveAll }, taken) => Effect.forever(Effect.map(receiveAll, (all) => taken.push(...all)))],
    [
      "messages",
      ({ messages }, taken) => Stream.runForEachChunk(messages, (all) => Effect.sync(() => taken.push(...all)))
    ]
  ]

  it.scoped.each(takers)(
    "2,000 interruptions of %s in the tick of a message lose, double and reorder none",
    ([, take]) =>
      Effect.gen(function* () {
        const { stream, peer } = yield* Testing.makePair
        const connection = yield* Connection.make("server", stream)
        const taken: Array<Connection.Message> = []
        let sent = 0
        for (let round = 0; round < 2000; round++) {
          const fiber = yield* Effect.fork(Effect.exit(take(connection, taken)))
          yield* Effect.yieldNow()
          // One to three messages, and the interruption at another point of their way in each round.
          const count = 1 + (round % 3)
          for (let i = 0; i < count; i++) yield* peer.write(masked(Frame.text(String(sent++))))
          for (let i = 0; i < round % 7; i++) yield* Effect.promise(() => Promise.resolve())
          fiber.unsafeInterruptAsFork(FiberId.none)
          yield* Fiber.await(fiber)
        }
        while (taken.length < sent) taken.push(...(yield* connection.receiveAll))
        assert.deepStrictEqual(
          taken,
          Array.from({ length: sent }, (_, i) => String(i))
        )
        yield* peer.write(masked(Frame.close(bye)))
        yield* peer.end
      })
  )
})

describe("invariant 8, backpressure both ways", () => {
  it.scoped("reading pauses above the receive mark, send suspends above the send mark, and both go on", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream, {
        receiveHighWaterMark: 10_000,
        sendHighWaterMark: 100_000
      })
      yield* peer.pause
      let accepted = 0
      const payload = new Uint8Array(1000)
      const sending = yield* Effect.fork(
        Effect.forever(Effect.tap(connection.send(payload), () => Effect.sync(() => accepted++)))
      )
      yield* settle
      // What the wire holds before it says that it is full, and what the mark allows on top.
      assert.isBelow(accepted, 300)
      const stuck = accepted
      assert.isAtLeast(yield* connection.bufferedAmount, 100_000)
      yield* peer.resume
      yield* settle
      assert.isAbove(accepted, stuck)
      yield* Fiber.interrupt(sending)

      for (let i = 0; i < 200; i++) yield* peer.write(masked(Frame.binary(payload)))
      yield* settle
      assert.isAtMost((yield* connection.receiveAll).length, 20)
      yield* peer.destroy
    })
  )
})

describe("invariant 9, no bare clock, no bare randomness", () => {
  it.effect("the same conversation is the same bytes, whenever it is held", () => {
    const conversation = Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* Testing.connect((connection) =>
          Connection.runForEach(connection, (message) => connection.send(message))
        )
        const wire = yield* Testing.wireOf(connection)
        yield* connection.send("one")
        yield* connection.receive
        const ping = yield* Effect.fork(connection.ping)
        yield* settle
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(ping)
        yield* connection.close({ code: 4000, reason: "done" })
        return `${hex(yield* wire.sentByClient)} ${hex(yield* wire.sentByServer)}`
      })
    ).pipe(Effect.provide(Testing.layerKeys))
    return Effect.gen(function* () {
      const first = yield* conversation
      assert.strictEqual(yield* conversation, first)
    })
  })
})

describe("invariant 10, finalizers wait, they never time", () => {
  /** A server whose handlers wait forever, and clients of it. */
  const serve = (server: Scope.CloseableScope, clients: number) =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      const stopping = WebSocketServer.layer(() => Effect.never, { closeTimeout: "7 seconds" })
      yield* Layer.buildWithScope(Layer.provide(stopping, Layer.succeedContext(network)), server)
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, Layer.succeedContext(network)))
      return yield* Effect.forEach(Array.from({ length: clients }), () =>
        Effect.provide(WebSocketClient.connect("ws://memory", { pingInterval: Duration.infinity }), client)
      )
    })

  it.scoped("a server's peers that do not answer are cut together, when one closeTimeout is up", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const connections = yield* serve(scope, 5)
      yield* Effect.forEach(connections, (connection) =>
        Effect.flatMap(Testing.wireOf(connection), ({ stall }) => stall)
      )
      const stopping = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("6999 millis")
      assert.isNull(stopping.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(stopping)
      yield* Effect.forEach(connections, (connection) => Effect.flatMap(Testing.wireOf(connection), ({ cut }) => cut))
    })
  )

  it.scoped("one fiber watches all deadlines of a server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const before = (yield* Fiber.roots).length
      yield* serve(scope, 20)
      yield* settle
      // Twenty handlers, and the fiber that sleeps until the earliest ping is due.
      assert.strictEqual((yield* Fiber.roots).length - before, 21)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual((yield* Fiber.roots).length, before)
    })
  )
})

describe("invariant 11, in order", () => {
  const echo = (connection: Connection.Connection) =>
    Connection.runForEach(connection, (message) => connection.send(message))

  const ends: ReadonlyArray<readonly [string, Uint8Array, Frame.Close]> = [
    ["a violation", Uint8Array.from([0xff, 0xff]), { code: 1002, reason: "reserved opcode 15" }],
    ["the peer's Close", masked(Frame.close({ code: 1000, reason: "bye" })), bye]
  ]
  it.scoped.each(ends)(
    "%s in the same chunk is acted on behind the echo of the messages before it",
    ([, last, close]) =>
      Effect.gen(function* () {
        const { stream, peer } = yield* Testing.makePair
        const connection = yield* Connection.make("server", stream)
        yield* Effect.fork(Effect.exit(echo(connection)))
        yield* Effect.yieldNow()
        const messages = masked(Frame.text("a"), Frame.text("b"))
        yield* peer.write(Uint8Array.from([...messages, ...last]))
        const expected = plain(Frame.text("a"), Frame.text("b"), Frame.close(close))
        assert.strictEqual(hex(yield* readBytes(peer, expected.length)), hex(expected))
        yield* peer.end
        yield* connection.closed
      })
  )

  it.scoped("and one macrotask later where nobody asks", () =>
    Effect.gen(function* () {
      const { stream, peer } = yield* Testing.makePair
      const connection = yield* Connection.make("server", stream)
      yield* peer.write(masked(Frame.text("never taken"), Frame.close(bye)))
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.close(bye))))
      assert.strictEqual(yield* connection.receive, "never taken")
      yield* peer.end
    })
  )
})
