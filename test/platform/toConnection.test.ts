import { Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Deferred, Effect, Exit, Fiber, Queue, Scope, Stream, TestClock } from "effect"
import { Connection, ConnectionClosed, type Unsupported } from "effect-websockets"
import { PlatformSocket } from "effect-websockets/platform"
import { Testing } from "effect-websockets/testing"
import { open, settle } from "../support.js"

/** A platform's socket whose other end is the test's: what it gives, what was written, and how its run ends. */
const makeFake = Effect.gen(function* () {
  const end = yield* Deferred.make<void, Socket.SocketError>()
  const written: Array<string | Uint8Array | Socket.CloseEvent> = []
  const room = yield* Effect.makeLatch(true)
  const runs = { begun: 0, ended: 0, writers: 0 }
  const fake = {
    onOpen: undefined as Effect.Effect<void> | undefined,
    onData: undefined as ((data: never) => unknown) | undefined
  }
  const run = (onData: (data: never) => unknown, options?: { readonly onOpen?: Effect.Effect<void> | undefined }) =>
    Effect.suspend(() => {
      runs.begun++
      Object.assign(fake, { onData, onOpen: options?.onOpen ?? Effect.void })
      return Deferred.await(end)
    }).pipe(Effect.ensuring(Effect.sync(() => runs.ended++)), Effect.interruptible)
  const socket = Socket.Socket.of({
    [Socket.TypeId]: Socket.TypeId,
    run,
    runRaw: run,
    writer: Effect.acquireRelease(
      Effect.sync(() => {
        runs.writers++
        return (chunk: string | Uint8Array | Socket.CloseEvent) =>
          room.whenOpen(Effect.sync(() => void written.push(chunk)))
      }),
      () => Effect.sync(() => runs.writers--)
    )
  })
  return {
    socket,
    written,
    room,
    runs,
    /** It says that it is open. */
    opens: Effect.suspend(() => fake.onOpen ?? Effect.dieMessage("nobody runs it")),
    gives: (...all: ReadonlyArray<unknown>) => {
      for (const data of all) fake.onData?.(data as never)
    },
    ends: Deferred.succeed(end, undefined),
    fails: (error: Socket.SocketError) => Deferred.fail(end, error),
    closes: (code: number, closeReason?: string) =>
      Deferred.fail(end, new Socket.SocketCloseError({ reason: "Close", code, closeReason }))
  }
})

/** The same with a connection over it. */
const makeOpen = (options?: PlatformSocket.CarriedOptions) =>
  Effect.gen(function* () {
    const fake = yield* makeFake
    const opening = yield* Effect.fork(PlatformSocket.toConnection(fake.socket, options))
    yield* settle
    yield* fake.opens
    const connection = yield* Fiber.join(opening)
    // The fake answers nobody: what is left when the test is over is ended by it.
    yield* Effect.addFinalizer(() => fake.closes(1006))
    return { ...fake, connection }
  })

/** Both ends of a connection in memory. */
const pair = Effect.gen(function* () {
  const accepted = yield* Deferred.make<Connection.Connection>()
  const client = yield* Testing.connect((server) => Effect.zipRight(Deferred.succeed(accepted, server), server.closed))
  return [client, yield* Deferred.await(accepted)] as const
})

const endOf = (connection: Connection.Connection) =>
  Effect.map(connection.closed, (closed) => ({ ...closed.closure, code: ConnectionClosed.code(closed) }))

describe("a platform's socket as a connection", () => {
  it.scoped("is there when the socket says that it is open, and not before", () =>
    Effect.gen(function* () {
      const fake = yield* makeFake
      const opening = yield* Effect.fork(PlatformSocket.toConnection(fake.socket))
      yield* settle
      assert.isNull(opening.unsafePoll())
      yield* fake.opens
      const connection = yield* Fiber.join(opening)
      yield* Effect.addFinalizer(() => fake.closes(1000))
      assert.strictEqual(connection.role, "client")
      assert.deepStrictEqual(yield* connection.state, { _tag: "Open" })
    })
  )

  it.scoped("is there, too, when its first message comes, which is not lost", () =>
    Effect.gen(function* () {
      const fake = yield* makeFake
      const opening = yield* Effect.fork(PlatformSocket.toConnection(fake.socket, { role: "server" }))
      yield* settle
      fake.gives("early")
      const connection = yield* Fiber.join(opening)
      yield* Effect.addFinalizer(() => fake.closes(1000))
      yield* fake.opens
      assert.strictEqual(connection.role, "server")
      assert.strictEqual(yield* connection.receive, "early")
    })
  )

  it.scoped("fails where the socket cannot be opened, with what lies behind the socket's error", () =>
    Effect.gen(function* () {
      const fake = yield* makeFake
      const opening = yield* Effect.fork(Effect.flip(PlatformSocket.toConnection(fake.socket)))
      yield* settle
      const cause = Object.assign(new Error("nobody listens"), { code: "ECONNREFUSED" })
      yield* fake.fails(new Socket.SocketGenericError({ reason: "Open", cause }))
      const error = yield* Fiber.join(opening)
      assert.deepInclude(error, { _tag: "TransportError", operation: "connect", code: "ECONNREFUSED", cause })
      assert.strictEqual(
        error.message,
        "cannot connect to the socket's peer: nobody listens. Is the server running, and on this port?"
      )
    })
  )

  it.scoped("fails where the socket closes before it was open", () =>
    Effect.gen(function* () {
      const fake = yield* makeFake
      const opening = yield* Effect.fork(Effect.flip(PlatformSocket.toConnection(fake.socket)))
      yield* settle
      yield* fake.closes(4001, "go away")
      const { message } = yield* Fiber.join(opening)
      assert.strictEqual(
        message,
        "cannot connect to the socket's peer: it closed with 4001 before it was open: go away"
      )
    })
  )

  it.scoped("gives messages in order, whatever kind of bytes they are", () =>
    Effect.gen(function* () {
      const { connection, gives } = yield* makeOpen()
      gives("one", Buffer.from([2]), Uint8Array.of(3).buffer, Uint8Array.of(0, 4).subarray(1))
      const all = yield* connection.receiveAll
      assert.deepStrictEqual(all, ["one", Uint8Array.of(2), Uint8Array.of(3), Uint8Array.of(4)])
      assert.isFalse(all.some(Buffer.isBuffer))
    })
  )

  it.scoped("writes messages in order, and their bytes as they were when they were sent", () =>
    Effect.gen(function* () {
      const { connection, room, written } = yield* makeOpen()
      yield* room.close
      const bytes = Uint8Array.of(1, 2)
      const buffer = Buffer.of(3, 4)
      yield* connection.sendAll(["a", bytes, buffer])
      bytes[0] = 9
      buffer[0] = 9
      yield* connection.sendFragments(Stream.make("b", "c"))
      assert.strictEqual(yield* connection.bufferedAmount, 7)
      yield* room.open
      yield* settle
      assert.deepStrictEqual(written, ["a", Uint8Array.of(1, 2), Uint8Array.of(3, 4), "bc"])
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )

  it.scoped("has nothing unsent once it is over, also where the socket still writes then", () =>
    Effect.gen(function* () {
      const { socket, opens, room, runs, closes } = yield* makeFake
      const lasting = yield* Deferred.make<void>()
      const runRaw: typeof socket.runRaw = (handler, options) =>
        Effect.ensuring(socket.runRaw(handler, options), Deferred.await(lasting))
      const opening = yield* Effect.fork(
        PlatformSocket.toConnection(Socket.Socket.of({ ...socket, runRaw }), { closeTimeout: "1 second" })
      )
      yield* settle
      yield* opens
      const connection = yield* Fiber.join(opening)
      yield* Effect.addFinalizer(() => Effect.zipRight(closes(1006), Deferred.succeed(lasting, undefined)))
      yield* room.close
      yield* connection.send("unsent")
      const closing = yield* Effect.fork(connection.close())
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      yield* room.open
      yield* settle
      assert.strictEqual(runs.ended, 1)
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )

  it.scoped("lets who sends wait at sendHighWaterMark until something is written, without time passing", () =>
    Effect.gen(function* () {
      const { connection, room, written } = yield* makeOpen({ sendHighWaterMark: 4 })
      yield* room.close
      yield* connection.send("1234")
      const waiting = yield* Effect.fork(connection.sendAll(["5", "6"]))
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* room.open
      yield* Fiber.join(waiting)
      yield* settle
      assert.deepStrictEqual(written, ["1234", "5", "6"])
    })
  )

  it.scoped("is closed behind what was sent, and the socket's code is the peer's", () =>
    Effect.gen(function* () {
      const { closes, connection, room, written } = yield* makeOpen()
      yield* room.close
      yield* connection.send("last")
      const closing = yield* Effect.fork(connection.close({ code: 4000, reason: "done" }))
      yield* room.open
      yield* settle
      assert.deepStrictEqual(written, ["last", new Socket.CloseEvent(4000, "done")])
      assert.isNull(closing.unsafePoll())
      yield* closes(4000)
      const closed = yield* Fiber.join(closing)
      assert.strictEqual(closed.message, "we closed with 4000 done; peer closed with 4000")
      assert.isFalse(ConnectionClosed.isClean(closed))
    })
  )

  for (const [closeCodes, sent] of [
    [false, 4011],
    [true, 1011]
  ] as const) {
    it.scoped(`says 1011 as ${sent} where closeCodes is ${closeCodes}`, () =>
      Effect.gen(function* () {
        const { closes, connection, written } = yield* makeOpen({ closeCodes })
        assert.strictEqual(connection.capabilities.closeCodes, closeCodes)
        yield* Effect.fork(connection.close({ code: 1011 }))
        yield* settle
        assert.deepStrictEqual(written, [new Socket.CloseEvent(sent, "")])
        yield* closes(sent)
      })
    )
  }

  it.scoped("ends with the peer's code and reason, behind its messages", () =>
    Effect.gen(function* () {
      const { closes, connection, gives } = yield* makeOpen()
      gives("last")
      const receiving = yield* Effect.fork(Stream.runCollect(connection.messages))
      yield* closes(1001, "off")
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(receiving)), ["last"])
      const closed = yield* connection.closed
      assert.strictEqual(closed.message, "peer closed with 1001 off; we closed with 1001")
      assert.isTrue(ConnectionClosed.isClean(closed))
      assert.strictEqual(yield* Effect.flip(connection.receive), closed)
      assert.strictEqual(yield* Effect.flip(connection.send("late")), closed)
    })
  )

  it.scoped("ends a receive that waits with ConnectionClosed", () =>
    Effect.gen(function* () {
      const { closes, connection } = yield* makeOpen()
      const receiving = yield* Effect.fork(Effect.flip(connection.receive))
      yield* settle
      assert.isNull(receiving.unsafePoll())
      yield* closes(4002)
      const error = yield* Fiber.join(receiving)
      assert.deepInclude(error, { _tag: "ConnectionClosed" })
      assert.strictEqual((yield* endOf(connection)).code, 4002)
    })
  )

  it.scoped("that was lost has 1006 with its cause: what the socket says, or the error behind its own", () =>
    Effect.gen(function* () {
      const told = yield* makeOpen()
      yield* told.closes(1006, "the peer did not answer a ping in time")
      const toldEnd = yield* told.connection.closed
      assert.strictEqual(ConnectionClosed.code(toldEnd), 1006)
      assert.strictEqual(
        toldEnd.message,
        "lost the connection to the socket's peer: the peer did not answer a ping in time"
      )

      const bare = yield* makeOpen()
      yield* bare.closes(1006)
      assert.deepInclude(yield* endOf(bare.connection), { code: 1006, cause: { _tag: "EndOfStream" } })

      const broken = yield* makeOpen()
      const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
      yield* broken.fails(new Socket.SocketGenericError({ reason: "Read", cause }))
      const end = yield* endOf(broken.connection)
      assert.strictEqual(end.code, 1006)
      assert.deepInclude(end.cause, { _tag: "TransportError" })
      const { error } = end.cause as { readonly error: unknown }
      assert.deepInclude(error, { _tag: "TransportError", operation: "stream", code: "ECONNRESET", cause })
    })
  )

  it.scoped("has a word for events that say little or nothing", () =>
    Effect.gen(function* () {
      const messageOf = (cause: unknown) =>
        Effect.gen(function* () {
          const { connection, fails } = yield* makeOpen()
          yield* fails(new Socket.SocketGenericError({ reason: "Read", cause }))
          return (yield* connection.closed).message
        })
      const lost = "lost the connection to the socket's peer:"
      assert.strictEqual(yield* messageOf({ type: "error", message: "bad frame" }), `${lost} bad frame`)
      assert.strictEqual(yield* messageOf({ type: "error" }), `${lost} the socket does not say why`)
      assert.strictEqual(yield* messageOf(undefined), `${lost} the socket does not say why`)
      assert.strictEqual(yield* messageOf(new AggregateError([new Error("a"), new Error("b")])), `${lost} a; b`)
    })
  )

  it.scoped("takes an end that is no error for 1006 unless told what it means: platform means that, too", () =>
    Effect.gen(function* () {
      const lost = yield* makeOpen()
      yield* lost.ends
      const closed = yield* lost.connection.closed
      assert.strictEqual(ConnectionClosed.code(closed), 1006)
      assert.include(closed.message, "make it with closeCodeIsError: () => true")

      const known = yield* makeOpen({ successCode: 1000 })
      yield* known.ends
      assert.isTrue(ConnectionClosed.isClean(yield* known.connection.closed))
    })
  )

  it.scoped("breaks no program where a run or a writer dies", () =>
    Effect.gen(function* () {
      const { connection, fails } = yield* makeOpen()
      yield* fails(Object.assign(new Error("not even a socket's error")) as never)
      assert.include((yield* connection.closed).message, "not even a socket's error")

      const fake = yield* makeFake
      const socket = { ...fake.socket, writer: Effect.succeed(() => Effect.die(new Error("cannot write"))) }
      const opening = yield* Effect.fork(PlatformSocket.toConnection(socket, { closeTimeout: "3 seconds" }))
      yield* settle
      yield* fake.opens
      const other = yield* Fiber.join(opening)
      yield* other.send("lost")
      yield* settle
      const sending = yield* Effect.fork(Effect.flip(other.send("late")))
      yield* settle
      // The socket may still tell how it has ended, and has closeTimeout for that.
      yield* TestClock.adjust("3 seconds")
      assert.include((yield* Fiber.join(sending)).message, "cannot write")
      assert.strictEqual(fake.runs.ended, 1)
    })
  )

  it.scoped("ends with 1009 above maxMessageSize, and with 1008 above maxUnread, as it cannot stop the socket", () =>
    Effect.gen(function* () {
      const large = yield* makeOpen({ maxMessageSize: 3, closeCodes: true })
      large.gives("1234")
      yield* settle
      assert.deepInclude(large.written, new Socket.CloseEvent(1009, "a message of 4 bytes is above maxMessageSize"))

      const unread = yield* makeOpen({ maxUnread: 100 })
      assert.isFalse(unread.connection.capabilities.pauseReading)
      unread.gives("1", "2", "3")
      yield* settle
      assert.deepStrictEqual(
        unread.written.map((chunk) => Socket.isCloseEvent(chunk) && chunk.code),
        [4008]
      )
      assert.deepStrictEqual(yield* unread.connection.receiveAll, ["1", "2"])
      assert.include((yield* Effect.flip(unread.connection.receive)).message, "maxUnread")
    })
  )

  it.scoped("has no pings, and says so", () =>
    Effect.gen(function* () {
      const { connection } = yield* makeOpen()
      for (const asked of [connection.ping, connection.pong()]) {
        const error = (yield* Effect.flip(asked)) as Unsupported
        assert.deepInclude(error, { _tag: "Unsupported", operation: "ping" })
        assert.include(error.message, "a Socket of the platform's has no pings or pongs")
      }
    })
  )

  it.scoped("leaves a peer that does not answer to the socket when closeTimeout is up", () =>
    Effect.gen(function* () {
      const { connection, runs } = yield* makeOpen({ closeTimeout: "3 seconds" })
      const closing = yield* Effect.fork(connection.close())
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(closing.unsafePoll())
      assert.strictEqual(runs.ended, 0)
      yield* TestClock.adjust("1 millis")
      const closed = yield* Fiber.join(closing)
      assert.deepInclude(closed.closure.cause, { _tag: "CloseTimeout" })
      yield* settle
      assert.deepStrictEqual(runs, { begun: 1, ended: 1, writers: 0 })
    })
  )

  it.effect("leaves nothing of its run behind, whenever it is interrupted, and closes with its scope", () =>
    Effect.gen(function* () {
      for (const moment of ["opening", "open", "closed"] as const) {
        const scope = yield* Scope.make()
        const fake = yield* makeFake
        const opening = yield* Effect.fork(Scope.extend(PlatformSocket.toConnection(fake.socket), scope))
        yield* settle
        assert.strictEqual(fake.runs.begun, 1)
        if (moment !== "opening") {
          yield* fake.opens
          const connection = yield* Fiber.join(opening)
          if (moment === "closed") yield* Effect.zipRight(fake.closes(1000), connection.closed)
        }
        yield* Fiber.interrupt(opening)
        const leaving = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* settle
        if (moment === "open") {
          assert.deepStrictEqual(fake.written, [new Socket.CloseEvent(1000, "")])
          yield* fake.closes(1000)
        }
        yield* Fiber.join(leaving)
        assert.deepStrictEqual(fake.runs, { begun: 1, ended: 1, writers: 0 })
      }
    })
  )
})

describe("a connection as a socket as a connection", () => {
  for (const options of [
    { socket: {}, carried: { successCode: 1000, closeCodes: true } },
    { socket: { closeCodeIsError: () => true }, carried: { closeCodes: true } }
  ]) {
    it.scoped(`is the same to its user, ${JSON.stringify(options.carried)}`, () =>
      Effect.gen(function* () {
        const [client, server] = yield* pair
        const again = yield* PlatformSocket.toConnection(
          PlatformSocket.fromConnection(client, options.socket),
          options.carried
        )
        yield* Effect.fork(Connection.runForEach(server, (message) => server.send(message)))
        const messages = ["one", Uint8Array.of(2), "", "ü"]
        yield* again.sendAll(messages)
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.take(again.messages, 4))),
          messages
        )
        const closed = yield* again.close({ code: 1000, reason: "bye" })
        assert.isTrue(ConnectionClosed.isClean(closed))
        assert.deepStrictEqual((yield* server.closed).closure.received, { code: 1000, reason: "bye" })
      })
    )
  }

  it.scoped("hears of codes, and of cuts with their cause", () =>
    Effect.gen(function* () {
      const carry = (connection: Connection.Connection) =>
        PlatformSocket.toConnection(PlatformSocket.fromConnection(connection))
      const [client, server] = yield* pair
      const again = yield* carry(client)
      yield* Effect.fork(server.close({ code: 4003, reason: "no" }))
      assert.deepInclude(yield* endOf(again), { code: 4003, received: { code: 4003, reason: "no" } })

      const { connection, wire } = yield* open("client")
      const other = yield* carry(connection)
      yield* wire.cut
      assert.strictEqual(
        (yield* other.closed).message,
        "lost the connection to the socket's peer: lost the connection to memory: the wire was cut"
      )
    })
  )
})

describe("a stream of bytes as a connection", () => {
  it.scoped("gives bytes in order, and is closed by its end", () =>
    Effect.gen(function* () {
      const loop = new TransformStream<Uint8Array, Uint8Array>()
      const ended = yield* Queue.unbounded<string>()
      const socket = yield* Socket.fromTransformStream(
        Effect.acquireRelease(Effect.succeed(loop), () => ended.offer("left")),
        { closeCodeIsError: () => true }
      )
      const connection = yield* PlatformSocket.toConnection(socket)
      yield* connection.send("ü")
      assert.deepStrictEqual(yield* connection.receive, Uint8Array.of(0xc3, 0xbc))
      for (let n = 0; n < 100; n++) {
        yield* connection.send(Uint8Array.of(n))
        assert.deepStrictEqual(yield* connection.receive, Uint8Array.of(n))
      }
      assert.isTrue(ConnectionClosed.isClean(yield* connection.close()))
      assert.strictEqual(yield* ended.take, "left")
    })
  )

  it.scoped("waits while nobody reads, and is over where its stream breaks", () =>
    Effect.gen(function* () {
      const taken: Array<number> = []
      const room = yield* Effect.makeLatch(false)
      let breakIt = (_: Error) => {}
      const readable = new ReadableStream<Uint8Array>({
        start: (controller) => {
          breakIt = (error) => controller.error(error)
        }
      })
      const writable = new WritableStream<Uint8Array>({
        write: async ({ length }) => {
          await Effect.runPromise(room.await)
          taken.push(length)
        }
      })
      const socket = yield* Socket.fromTransformStream(Effect.succeed({ readable, writable }))
      const connection = yield* PlatformSocket.toConnection(socket, { sendHighWaterMark: 20 })
      const sending = yield* Effect.fork(
        Effect.forEach([1, 2, 3, 4, 5], (n) => connection.send(new Uint8Array(n * 10)), { discard: true })
      )
      yield* settle
      assert.isNull(sending.unsafePoll())
      assert.strictEqual(yield* connection.bufferedAmount, 30)
      yield* room.open
      yield* Fiber.join(sending)
      yield* settle
      assert.deepStrictEqual(taken, [10, 20, 30, 40, 50])
      const receiving = yield* Effect.fork(Effect.exit(connection.receive))
      breakIt(new Error("the cable was cut"))
      const exit = yield* Fiber.join(receiving)
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "the cable was cut")
    })
  )
})
