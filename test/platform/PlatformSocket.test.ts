import { Buffer } from "node:buffer"
import { Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Chunk, Context, Deferred, Effect, Exit, Fiber, Layer, Queue, Stream, TestClock } from "effect"
import { type Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { PlatformSocket } from "effect-websockets/platform"
import { Testing } from "effect-websockets/testing"
import { echo } from "../node/support.js"
import { open, settle } from "../support.js"

type SocketOptions = WebSocketClient.ConnectOptions & PlatformSocket.SocketOptions

/** A server with a handler and a socket of ours to it, in memory. */
const connected = <E>(
  handler: (connection: Connection.Connection) => Effect.Effect<unknown, E>,
  options: { readonly socket?: SocketOptions; readonly server?: WebSocketServer.ServerOptions } = {}
) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      Layer.merge(WebSocketServer.layer(handler, options.server), WebSocketClient.layer).pipe(
        Layer.provideMerge(Testing.layer)
      )
    )
    const socket = yield* Effect.provide(PlatformSocket.make("ws://memory", options.socket), context)
    const wires = Context.get(context, Testing.Network).wires
    // A stalled wire would make the server wait for its closeTimeout, which never passes here.
    yield* Effect.addFinalizer(() => Effect.flatMap(wires, (all) => Effect.all(all.map(({ cut }) => cut))))
    const setFaults = Context.get(context, Testing.Network).setFaults
    return { socket, write: yield* socket.writer, wires, setFaults }
  })

const stuck = Effect.never

describe("a socket that dials", () => {
  it.scoped("opens a connection for each run, and closes it when the run is interrupted", () =>
    Effect.gen(function* () {
      const ends = yield* Queue.unbounded<number>()
      const { socket, wires } = yield* connected(({ closed }) =>
        Effect.flatMap(closed, (closed) => ends.offer(ConnectionClosed.code(closed)))
      )
      for (const run of [1, 2]) {
        const opened = yield* Deferred.make<void>()
        const running = yield* Effect.forkScoped(
          socket.run(() => Effect.void, { onOpen: Effect.asVoid(Deferred.succeed(opened, undefined)) })
        )
        yield* Deferred.await(opened)
        yield* Fiber.interrupt(running)
        assert.strictEqual(yield* ends.take, 1000)
        assert.lengthOf(yield* wires, run)
      }
    })
  )

  it.scoped("lets writers wait until it is connected, and keeps their order", () =>
    Effect.gen(function* () {
      const { socket, write } = yield* connected(echo)
      const echoes = yield* Queue.unbounded<string | Uint8Array>()
      const writing = yield* Effect.forkScoped(Effect.forEach(["one", Uint8Array.of(2), "three"], write))
      yield* settle
      assert.isNull(writing.unsafePoll())
      yield* Effect.forkScoped(socket.runRaw((message) => echoes.offer(message)))
      yield* Fiber.join(writing)
      assert.deepStrictEqual([...(yield* Queue.takeN(echoes, 3))], ["one", Uint8Array.of(2), "three"])
    })
  )

  it.scoped("gives text as bytes to the handler of run", () =>
    Effect.gen(function* () {
      const { socket, write } = yield* connected(echo)
      const echoes = yield* Queue.unbounded<Uint8Array>()
      yield* Effect.forkScoped(socket.run((bytes) => echoes.offer(bytes)))
      yield* write("ü")
      assert.deepStrictEqual(yield* echoes.take, Uint8Array.of(0xc3, 0xbc))
    })
  )

  it.scoped("fails to open with the client's error, and writers wait on", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(WebSocketClient.layer.pipe(Layer.provide(Testing.layer)))
      const socket = yield* Effect.provide(PlatformSocket.make("ws://memory"), context)
      const write = yield* socket.writer
      const writing = yield* Effect.forkScoped(write("hello"))
      const error = yield* Effect.flip(socket.run(() => Effect.void))
      assert.instanceOf(error, Socket.SocketGenericError)
      assert.strictEqual(error.reason, "Open")
      assert.strictEqual((error as { readonly cause: { readonly _tag: string } }).cause._tag, "TransportError")
      yield* settle
      assert.isNull(writing.unsafePoll())
    })
  )

  it.scoped("fails with OpenTimeout when openTimeout is up", () =>
    Effect.gen(function* () {
      const { socket, setFaults } = yield* connected(echo, { socket: { openTimeout: "3 seconds" } })
      yield* setFaults({ stalled: true })
      const running = yield* Effect.forkScoped(Effect.flip(socket.run(() => Effect.void)))
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(running.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(running)).reason, "OpenTimeout")
    })
  )

  it.scoped("asks for the URI before each connection, and fails with what that fails with", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        Layer.merge(
          WebSocketServer.layer((connection) => connection.send(connection.handshake.request.target)),
          WebSocketClient.layer
        ).pipe(Layer.provide(Testing.layer))
      )
      let token = 0
      const uri = Effect.suspend(() =>
        ++token < 3
          ? Effect.succeed(`ws://memory/?token=${token}`)
          : Effect.fail(new Socket.SocketGenericError({ reason: "Open", cause: "no more tokens" }))
      )
      const socket = yield* Effect.provide(PlatformSocket.make(uri), context)
      const targets: Array<unknown> = []
      const run = socket.runRaw((message) => void targets.push(message))
      yield* run
      yield* run
      assert.deepStrictEqual(targets, ["/?token=1", "/?token=2"])
      assert.strictEqual((yield* Effect.flip(run)).reason, "Open")
    })
  )

  it.scoped("lets writers wait for the next connection when one was lost, and fails them when one has ended well", () =>
    Effect.gen(function* () {
      const codes = [4000, 1000]
      const got = yield* Queue.unbounded<Connection.Message>()
      const { socket, write, wires, setFaults } = yield* connected((connection) =>
        connection.receive.pipe(
          Effect.flatMap((message) => got.offer(message)),
          Effect.zipRight(connection.close({ code: codes.shift() ?? 1000 }))
        )
      )
      const first = yield* Effect.forkScoped(Effect.flip(socket.run(() => Effect.void)))
      yield* write("one")
      assert.strictEqual((yield* Fiber.join(first)).reason, "Close")

      const writing = yield* Effect.forkScoped(write("two"))
      yield* settle
      assert.isNull(writing.unsafePoll())
      yield* socket.run(() => Effect.void)
      yield* Fiber.join(writing)
      assert.deepStrictEqual([...(yield* Queue.takeN(got, 2))], ["one", "two"])

      const error = yield* Effect.flip(write("three"))
      assert.strictEqual(error.reason, "Write")

      // The next run is on its way: there will be a connection again.
      yield* setFaults({ stalled: true })
      yield* Effect.forkScoped(socket.run(() => Effect.void))
      const waiting = yield* Effect.forkScoped(write("four"))
      yield* settle
      assert.isNull(waiting.unsafePoll())
      for (const wire of yield* wires) yield* wire.flow
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* got.take, "four")
    })
  )

  it.scoped("fails a write while its connection ends", () =>
    Effect.gen(function* () {
      const { socket, write } = yield* connected((connection) => connection.close({ code: 4000 }))
      const written = yield* Deferred.make<Exit.Exit<void, Socket.SocketError>>()
      const handler = () => Effect.void
      const ending = yield* Effect.forkScoped(
        socket.run(handler, {
          onOpen: Effect.flatMap(Effect.exit(Effect.forever(write("x"))), (exit) =>
            Deferred.succeed(written, exit)
          ).pipe(Effect.asVoid, Effect.uninterruptible)
        })
      )
      const exit = yield* Deferred.await(written)
      assert.isTrue(Exit.isFailure(exit) && Socket.isSocketError(Cause.squash(exit.cause)))
      yield* Fiber.await(ending)
    })
  )

  it.scoped("is a layer, and a channel", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        PlatformSocket.layer("ws://memory").pipe(
          Layer.provide(Layer.merge(WebSocketServer.layer(echo), WebSocketClient.layer)),
          Layer.provide(Testing.layer)
        )
      )
      const channel = Socket.toChannelString(Context.get(context, Socket.Socket))
      const echoes = yield* Stream.make("one", "two").pipe(
        Stream.concat(Stream.never),
        Stream.pipeThroughChannel(channel),
        Stream.take(2),
        Stream.runCollect
      )
      assert.deepStrictEqual(Chunk.toReadonlyArray(echoes), ["one", "two"])
    })
  )
})

describe("messages", () => {
  const numbers = Array.from({ length: 1_000 }, (_, n) => String(n))
  const flood = (connection: Connection.Connection) => connection.sendAll(numbers)

  it.scoped("that come before the handler is there are not lost, and its order is theirs", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      // "before" as a server's frame
      yield* peer.write(Uint8Array.of(0x81, 1, 0x61, 0x81, 1, 0x62))
      yield* settle
      const socket = PlatformSocket.fromConnection(connection)
      const got = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(socket.runRaw((message) => got.offer(message)))
      assert.deepStrictEqual([...(yield* Queue.takeN(got, 2))], ["a", "b"])
    })
  )

  it.scoped("that come with the connection and its end are all given to the handler, in order", () =>
    Effect.gen(function* () {
      const { socket } = yield* connected(flood)
      const got: Array<unknown> = []
      yield* socket.runRaw((message) => Effect.sync(() => got.push(message)))
      assert.deepStrictEqual(got, numbers)
    })
  )

  it.scoped("start their handlers in order, which then run at the same time", () =>
    Effect.gen(function* () {
      const { socket } = yield* connected((connection) => Effect.zipRight(flood(connection), connection.receive))
      const begun: Array<unknown> = []
      const gate = yield* Deferred.make<void>()
      const ended = yield* Queue.unbounded<unknown>()
      yield* Effect.forkScoped(
        socket.runRaw((message) =>
          Effect.sync(() => begun.push(message)).pipe(
            Effect.zipRight(Deferred.await(gate)),
            Effect.zipRight(ended.offer(message))
          )
        )
      )
      yield* settle
      assert.deepStrictEqual(begun, numbers.slice(0, PlatformSocket.defaultConcurrency))
      yield* Deferred.succeed(gate, undefined)
      assert.sameMembers([...(yield* Queue.takeN(ended, numbers.length))], numbers)
    })
  )

  it.scoped("are held up by handlers that hold too many bytes", () =>
    Effect.gen(function* () {
      const { socket } = yield* connected((connection) =>
        Effect.zipRight(
          Effect.forEach(numbers, () => connection.send("x".repeat(100_000)), { discard: true }),
          connection.receive
        )
      )
      let begun = 0
      yield* Effect.forkScoped(
        socket.runRaw(() => {
          begun++
          return stuck
        })
      )
      yield* settle
      yield* settle
      assert.strictEqual(begun, 11)
    })
  )

  it.scoped("are dealt with one after the other where concurrency is 1, and all of them before the run ends", () =>
    Effect.gen(function* () {
      const { socket } = yield* connected(flood, { socket: { concurrency: 1 } })
      const got: Array<unknown> = []
      let atOnce = 0
      let most = 0
      yield* socket.runRaw((message) =>
        Effect.gen(function* () {
          most = Math.max(most, ++atOnce)
          yield* Effect.yieldNow()
          got.push(message)
          atOnce--
        })
      )
      assert.strictEqual(most, 1)
      assert.deepStrictEqual(got, numbers)
    })
  )

  it.scoped("are so even where the connection is gone before the first handler has ended", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const socket = PlatformSocket.fromConnection(connection, { concurrency: 1 })
      const log: Array<string> = []
      const say = (word: string) => Effect.sync(() => log.push(word))
      // "a", "b", and a close frame with 1000
      yield* peer.write(Uint8Array.from(Buffer.from("810161810162880203e8", "hex")))
      yield* peer.end
      yield* socket.runRaw((message) =>
        say(`${message} begins`).pipe(
          Effect.zipRight(connection.closed),
          Effect.zipRight(settle),
          Effect.zipRight(say(`${message} ends`))
        )
      )
      assert.deepStrictEqual(log, ["a begins", "a ends", "b begins", "b ends"])
    })
  )

  it.scoped(
    "all start their handlers when the connection is over, whatever the bound; who waits for more is interrupted",
    () =>
      Effect.gen(function* () {
        const { socket } = yield* connected(flood, { socket: { concurrency: 10 } })
        let begun = 0
        let interrupted = 0
        yield* socket.runRaw(() => {
          begun++
          return Effect.onInterrupt(stuck, () => Effect.sync(() => interrupted++))
        })
        assert.deepStrictEqual({ begun, interrupted }, { begun: 1_000, interrupted: 1_000 })
      })
  )

  it.scoped("stop the peer when handlers are slow", () =>
    Effect.gen(function* () {
      let sent = 0
      const { socket } = yield* connected(
        (connection) =>
          Effect.forever(
            Effect.zipRight(
              connection.send("x".repeat(1_000)),
              Effect.sync(() => sent++)
            )
          ),
        { socket: { concurrency: 2 } }
      )
      let begun = 0
      const gate = yield* Effect.makeLatch(false)
      yield* Effect.forkScoped(
        socket.run(() => {
          begun++
          return gate.await
        })
      )
      // The wire and both ends take a few hundred kilobytes.
      yield* Effect.repeat(settle, { times: 20 })
      const before = sent
      yield* settle
      assert.strictEqual(begun, 2)
      assert.strictEqual(sent, before)
      assert.isAbove(sent, 100)
      yield* gate.open
      yield* settle
      assert.isAbove(sent, before)
    })
  )

  it.scoped("wait to be sent above sendHighWaterMark", () =>
    Effect.gen(function* () {
      const { socket, write, wires } = yield* connected(echo, { socket: { sendHighWaterMark: 10_000 } })
      yield* Effect.forkScoped(socket.run(() => Effect.void))
      yield* write("hello")
      const [wire] = yield* wires
      assert.isDefined(wire)
      yield* wire.stall
      let written = 0
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.zipRight(
            write("x".repeat(1_000)),
            Effect.sync(() => written++)
          )
        )
      )
      yield* settle
      const before = written
      yield* settle
      assert.strictEqual(written, before)
      assert.isBelow(written, 1_000)
      yield* wire.flow
      yield* settle
      assert.isAbove(written, before)
    })
  )
})

describe("the end", () => {
  const ending = (code: number, reason: string) => (connection: Connection.Connection) =>
    connection.close({ code, reason })

  it.scoped.each([
    [1000, "a success"],
    [1001, "an error"],
    [1011, "an error"],
    [4000, "an error"]
  ] as const)("with %d is %s", ([code, outcome]) =>
    Effect.gen(function* () {
      const { socket } = yield* connected(ending(code, "why"))
      const exit = yield* Effect.exit(socket.run(() => Effect.void))
      if (outcome === "a success") {
        assert.isTrue(Exit.isSuccess(exit))
        return
      }
      const failure = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(failure, Socket.SocketCloseError)
      assert.deepInclude(failure, { reason: "Close", code, closeReason: "why" })
    })
  )

  it.scoped.each([
    ["a close frame without a code", "8800", 1005, undefined],
    ["a frame that no server may send", "8180", 1002, /^we closed with 1002 .*; the peer broke the protocol: /],
    ["an end without a close frame", "", 1006, /^.*the peer's stream ended without a close frame$/]
  ] as const)("by %s has a code and a reason of its own", ([, bytes, code, reason]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const socket = PlatformSocket.fromConnection(connection)
      const running = yield* Effect.forkScoped(Effect.flip(socket.run(() => Effect.void)))
      yield* peer.write(Uint8Array.from(Buffer.from(bytes, "hex")))
      yield* peer.end
      const error = yield* Fiber.join(running)
      assert.instanceOf(error, Socket.SocketCloseError)
      assert.strictEqual(error.code, code)
      if (reason === undefined) assert.isUndefined(error.closeReason)
      else assert.match(error.closeReason ?? "", reason)
    })
  )

  it.scoped("is an error where the wire is cut, unless closeCodeIsError says otherwise of 1006", () =>
    Effect.gen(function* () {
      for (const isError of [true, false]) {
        const { connection, wire } = yield* open("client")
        const asked: Array<number> = []
        const closeCodeIsError = (code: number) => {
          asked.push(code)
          return isError
        }
        const socket = PlatformSocket.fromConnection(connection, { closeCodeIsError })
        const running = yield* Effect.forkScoped(Effect.exit(socket.run(() => Effect.void)))
        yield* settle
        yield* wire.cut
        assert.strictEqual(Exit.isFailure(yield* Fiber.join(running)), isError)
        assert.deepStrictEqual(asked, [1006])
      }
    })
  )

  it.scoped("is ours when a CloseEvent is written: with its code, and as much of its reason as there is room for", () =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
      const { socket, write } = yield* connected(({ closed }) =>
        Effect.flatMap(closed, (closed) => Deferred.succeed(ended, closed))
      )
      const running = yield* Effect.forkScoped(Effect.flip(socket.run(() => Effect.void)))
      yield* write(new Socket.CloseEvent(4001, "é".repeat(100)))
      const { closure } = yield* Deferred.await(ended)
      assert.deepStrictEqual(closure.received, { code: 4001, reason: "é".repeat(61) })
      assert.deepInclude(yield* Fiber.join(running), { reason: "Close", code: 4001 })
    })
  )

  it.scoped("cannot have a code that no close frame may have: that is a failed write", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("client")
      const write = yield* PlatformSocket.fromConnection(connection).writer
      const error = yield* Effect.flip(write(new Socket.CloseEvent(1006)))
      assert.strictEqual(error.reason, "Write")
      assert.strictEqual((yield* connection.state)._tag, "Open")
    })
  )

  it.scoped("waits for a silent peer no longer than closeTimeout, when a run is interrupted", () =>
    Effect.gen(function* () {
      const { socket, write, wires } = yield* connected(echo, { socket: { closeTimeout: "3 seconds" } })
      const running = yield* Effect.forkScoped(socket.run(() => Effect.void))
      yield* write("hello")
      for (const wire of yield* wires) yield* wire.stall
      const interrupting = yield* Effect.forkScoped(Fiber.interrupt(running))
      yield* settle
      yield* TestClock.adjust("2999 millis")
      assert.isNull(interrupting.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
    })
  )
})

describe("a handler", () => {
  const closures = Effect.gen(function* () {
    const ended = yield* Deferred.make<number>()
    const { socket } = yield* connected((connection) =>
      connection.send("go").pipe(
        Effect.zipRight(connection.closed),
        Effect.flatMap((closed) => Deferred.succeed(ended, ConnectionClosed.code(closed)))
      )
    )
    return { socket, code: Deferred.await(ended) }
  })

  it.scoped("that fails is how the run fails, and the peer gets 1011", () =>
    Effect.gen(function* () {
      const { socket, code } = yield* closures
      assert.strictEqual(yield* Effect.flip(socket.run(() => Effect.fail("no" as const))), "no")
      assert.strictEqual(yield* code, 1011)
    })
  )

  it.scoped("that fails later is too", () =>
    Effect.gen(function* () {
      const { socket, code } = yield* closures
      const late = Effect.zipRight(Effect.yieldNow(), Effect.fail("late" as const))
      assert.strictEqual(yield* Effect.flip(socket.run(() => late)), "late")
      assert.strictEqual(yield* code, 1011)
    })
  )

  it.scoped("that throws is a defect of the run", () =>
    Effect.gen(function* () {
      const { socket, code } = yield* closures
      const exit = yield* Effect.exit(
        socket.run(() => {
          throw new Error("a bug")
        })
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      assert.strictEqual(yield* code, 1011)
    })
  )

  it.scoped("that fails with ConnectionClosed of another connection fails with just that", () =>
    Effect.gen(function* () {
      const { socket } = yield* closures
      const other = yield* open("client")
      const closed = yield* Effect.zipRight(other.wire.cut, other.connection.closed)
      assert.strictEqual(yield* Effect.flip(socket.run(() => Effect.fail(closed))), closed)
    })
  )

  it.scoped("may be what onOpen waits for", () =>
    Effect.gen(function* () {
      const { socket, write } = yield* connected(echo)
      const heard = yield* Deferred.make<string | Uint8Array>()
      const opened = yield* Deferred.make<string | Uint8Array>()
      yield* Effect.forkScoped(
        socket.runRaw((message) => Deferred.succeed(heard, message), {
          onOpen: Effect.orDie(write("ask")).pipe(
            Effect.zipRight(Deferred.await(heard)),
            Effect.flatMap((answer) => Deferred.succeed(opened, answer)),
            Effect.asVoid
          )
        })
      )
      assert.strictEqual(yield* Deferred.await(opened), "ask")
    })
  )

  it.scoped("has the services of whoever runs the socket", () =>
    Effect.gen(function* () {
      class Name extends Context.Tag("Name")<Name, string>() {}
      const { socket } = yield* closures
      const name = yield* Deferred.make<string>()
      const handler = () => Effect.flatMap(Name, (value) => Deferred.succeed(name, value))
      yield* Effect.forkScoped(Effect.provideService(socket.run(handler), Name, "Ada"))
      assert.strictEqual(yield* Deferred.await(name), "Ada")
    })
  )
})

describe("the socket of a connection", () => {
  it.scoped("leaves it open when a run ends, and the next run goes on reading", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("client")
      const socket = PlatformSocket.fromConnection(connection)
      for (const letter of [0x61, 0x62]) {
        const heard = yield* Deferred.make<string | Uint8Array>()
        const running = yield* Effect.forkScoped(socket.runRaw((message) => Deferred.succeed(heard, message)))
        yield* peer.write(Uint8Array.of(0x81, 1, letter))
        assert.strictEqual(yield* Deferred.await(heard), String.fromCharCode(letter))
        yield* Fiber.interrupt(running)
        assert.strictEqual((yield* connection.state)._tag, "Open")
      }
    })
  )

  it.scoped("has one run at a time", () =>
    Effect.gen(function* () {
      const { connection } = yield* open("client")
      const socket = PlatformSocket.fromConnection(connection)
      yield* Effect.forkScoped(socket.run(() => Effect.void))
      yield* settle
      assert.strictEqual((yield* Effect.flip(socket.run(() => Effect.void))).reason, "Read")
    })
  )

  it.scoped("fails what is written once it is over", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* open("client")
      const write = yield* PlatformSocket.fromConnection(connection).writer
      yield* write("while it is open")
      yield* wire.cut
      yield* connection.closed
      const error = yield* Effect.flip(write("too late"))
      assert.instanceOf(error, Socket.SocketGenericError)
      assert.strictEqual(error.reason, "Write")
      assert.instanceOf(error.cause, ConnectionClosed.ConnectionClosed)
    })
  )
})
