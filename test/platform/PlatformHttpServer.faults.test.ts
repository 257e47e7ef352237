import { type HttpApp, HttpServerRequest, HttpServerResponse, type Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Queue, type Scope } from "effect"
import { Connection, ConnectionClosed } from "effect-websockets"
import { PlatformHttpServer } from "effect-websockets/platform"
import {
  ask,
  closeFrame,
  connect,
  eventually,
  frame,
  leavesNothing,
  type Peer,
  rawConnect,
  rawOpen,
  requestText,
  serveApp,
  stalled,
  turns
} from "./support.js"

/**
 * What goes wrong where `@effect/platform-node` upgrades by itself goes right
 * on this server, for our own handlers and for platform's sockets. That no
 * error escapes, which would end the process, `support.ts` sees to.
 */

/** A route that deals with messages one after the other; its end is how the connection ended. */
type RouteOf = <E>(
  handle: (
    message: Connection.Message,
    send: (message: Connection.Message) => Effect.Effect<void, unknown>
  ) => Effect.Effect<unknown, E>,
  ended?: (exit: Exit.Exit<void, unknown>) => Effect.Effect<unknown>,
  before?: Effect.Effect<unknown>
) => HttpApp.Default<unknown, Scope.Scope>

const nothing = () => Effect.void

/** By `upgrade`. */
const byHandler: RouteOf = (handle, ended = nothing, before = Effect.void) =>
  Effect.zipRight(
    before,
    PlatformHttpServer.upgrade((connection) =>
      Effect.onExit(
        Connection.runForEach(connection, (message) => handle(message, connection.send)),
        ended
      )
    )
  )

/** By the request's own `upgrade`. */
const bySocket: RouteOf = (handle, ended = nothing, before = Effect.void) =>
  Effect.gen(function* () {
    yield* before
    const socket: Socket.Socket = yield* HttpServerRequest.upgrade
    const write = yield* socket.writer
    yield* Effect.ignore(
      Effect.onExit(
        socket.runRaw((message) => handle(message, write)),
        ended
      )
    )
    return HttpServerResponse.empty()
  })

const routes = [
  ["a handler", byHandler],
  ["a socket", bySocket]
] as const

const answers = (port: number) =>
  Effect.gen(function* () {
    const connection = yield* connect(`ws://127.0.0.1:${port}`)
    yield* connection.send("still there?")
    assert.strictEqual(yield* connection.receive, "still there?")
    yield* connection.close()
  })

type Stage = readonly [name: string, before: (peer: Peer) => Effect.Effect<unknown>]

const resets: ReadonlyArray<Stage> = [
  ["right after connecting", () => Effect.void],
  ["in the middle of its request", (peer) => peer.write(requestText().slice(0, 60))],
  ["right after its request", (peer) => peer.write(requestText())],
  [
    "right after a request that is refused",
    (peer) => peer.write(requestText("GET / HTTP/1.1", { Origin: "http://b" }))
  ],
  ["while its route takes its time", (peer) => Effect.zipRight(peer.write(requestText()), turns(20))],
  ["after the 101", (peer) => Effect.zipRight(peer.write(requestText()), peer.head)]
]

describe("a reset", () => {
  for (const [way, route] of routes) {
    it.live.each(resets)(`%s ends no process (${way})`, ([name, stage]) =>
      leavesNothing(
        Effect.gen(function* () {
          const isSlow = name.startsWith("while")
          let count = 0
          const first = Effect.suspend(() => (isSlow && count++ === 0 ? turns(100) : Effect.void))
          const { port } = yield* serveApp(route((message, send) => send(message), nothing, first))
          const peer = yield* rawConnect(port)
          yield* stage(peer)
          yield* peer.reset
          yield* turns(120)
          yield* answers(port)
        })
      )
    )
  }
})

describe("a bad handshake", () => {
  const bad = requestText("GET / HTTP/1.1", { "Sec-WebSocket-Key": "short" })

  it.live.each(routes)(
    "leaves no fiber behind and does not hold up the end, whether its answer is read or not: %s",
    ([, route]) =>
      leavesNothing(
        Effect.gen(function* () {
          let begun = 0
          let over = 0
          const counted = Effect.zipRight(
            Effect.acquireRelease(
              Effect.sync(() => begun++),
              () => Effect.sync(() => over++)
            ),
            route((message, send) => send(message))
          )
          const { port, stop } = yield* serveApp(counted)
          for (let i = 0; i < 20; i++) {
            assert.strictEqual((yield* ask(port, bad)).status, 400)
            const leaving = yield* rawConnect(port)
            yield* leaving.write(bad)
            yield* turns(i % 4)
            yield* leaving.reset
          }
          yield* answers(port)
          yield* eventually(() => over === begun)
          assert.isAbove(begun, 20)
          const [time] = yield* Effect.timed(stop)
          assert.isBelow(Duration.toMillis(time), 5_000)
        })
      )
  )
})

describe("an answer that is lost", () => {
  const plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  const cases = [
    ["of a request for a WebSocket, on its way", requestText(), 3],
    ["of a request for a WebSocket, before it is given", requestText(), 60],
    ["of a plain request, on its way", plain, 3],
    ["of a plain request, before it is given", plain, 60],
    ["of several requests in a row, on their way", plain.repeat(3), 3],
    ["of several requests in a row, before they are given", plain.repeat(3), 60]
  ] as const

  it.live.each(cases)("does not hold up the end: %s", ([name, text, pause]) =>
    leavesNothing(
      Effect.gen(function* () {
        let begun = 0
        let over = 0
        let closed = 0
        const large = HttpServerResponse.uint8Array(new Uint8Array(30_000_000))
        const route = Effect.zipRight(
          Effect.acquireRelease(
            Effect.sync(() => begun++),
            () => Effect.sync(() => closed++)
          ),
          Effect.ensuring(
            turns(pause),
            Effect.sync(() => over++)
          )
        )
        const { port, stop } = yield* serveApp(Effect.as(route, large))
        for (const leave of ["end", "reset"] as const) {
          const peer = yield* rawConnect(port)
          peer.socket.pause()
          yield* peer.write(text)
          yield* eventually(() => begun > 0)
          yield* turns(20)
          yield* leave === "end" ? Effect.sync(() => peer.socket.destroy()) : peer.reset
        }
        yield* eventually(() => over === begun)
        // Behind another answer that was lost, platform does not hear that its own is.
        if (!name.startsWith("of several") || pause > 20) yield* eventually(() => closed === begun)
        const [time] = yield* Effect.timed(stop)
        assert.isBelow(Duration.toMillis(time), 5_000)
      })
    )
  )
})

describe("a connection without a closing handshake", () => {
  it.live.each(routes)("is no success: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const exits = yield* Queue.unbounded<Exit.Exit<void, unknown>>()
        const { port } = yield* serveApp(
          route(
            (message, send) => send(message),
            (exit) => Queue.offer(exits, exit)
          )
        )
        for (const leave of ["end", "reset"] as const) {
          const peer = yield* rawOpen(port)
          yield* leave === "end" ? Effect.sync(() => peer.socket.end()) : peer.reset
          const error = yield* Effect.flip(yield* Queue.take(exits))
          assert.strictEqual(
            error instanceof ConnectionClosed.ConnectionClosed
              ? ConnectionClosed.code(error)
              : (error as Socket.SocketCloseError).code,
            1006
          )
        }
        const peer = yield* rawOpen(port)
        yield* peer.write(closeFrame(1000))
        yield* yield* Queue.take(exits)
      })
    )
  )
})

describe("the end of a server", () => {
  const upgrades = { closeTimeout: "50 millis" } as const

  it.live.each(routes)("is not held up by silent peers, whatever they have said before: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port, registry, stop } = yield* serveApp(
          route((message, send) => send(message)),
          { upgrades }
        )
        yield* rawConnect(port)
        yield* Effect.flatMap(rawConnect(port), (peer) => peer.write("GET / HTTP"))
        yield* Effect.flatMap(rawConnect(port), (peer) => peer.write(requestText().slice(0, 60)))
        yield* rawOpen(port)
        const deaf = yield* rawOpen(port)
        deaf.socket.pause()
        yield* turns(20)
        assert.strictEqual(yield* registry.size, 2)
        const [time] = yield* Effect.timed(stop)
        assert.isAbove(Duration.toMillis(time), 45)
        assert.isBelow(Duration.toMillis(time), 5_000)
      })
    )
  )
})

describe("messages", () => {
  it.live.each(routes)("are dealt with in their order: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const total = 5_000
        const seen: Array<string> = []
        const { port } = yield* serveApp(route((message) => Effect.sync(() => seen.push(String(message)))))
        const peer = yield* rawOpen(port)
        const all = Array.from({ length: total }, (_, i) => frame(1, String(i)))
        const together = Buffer.concat(all)
        for (let i = 0; i < together.length; i += 997) yield* peer.write(together.subarray(i, i + 997))
        yield* eventually(() => seen.length === total)
        assert.deepStrictEqual(
          seen,
          all.map((_, i) => String(i))
        )
      })
    )
  )

  it.live.each(routes)("that come with the handshake, or before it is answered, are not lost: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const waiting = yield* Queue.unbounded<Deferred.Deferred<void>>()
        const before = Effect.flatMap(Deferred.make<void>(), (gate) =>
          Effect.zipRight(Queue.offer(waiting, gate), Deferred.await(gate))
        )
        const { port } = yield* serveApp(route((message, send) => send(message), nothing, before))
        const peer = yield* rawConnect(port)
        yield* peer.write(
          Buffer.concat([Buffer.from(requestText()), frame(1, "glued"), frame(1, "cut").subarray(0, 4)])
        )
        const gate = yield* Queue.take(waiting)
        yield* peer.write(Buffer.concat([frame(1, "cut").subarray(4), frame(2, Buffer.of(1, 2, 3))]))
        yield* turns(20)
        yield* Deferred.succeed(gate, undefined)
        yield* peer.head
        const expected = [
          frame(1, "glued", { masked: false }),
          frame(1, "cut", { masked: false }),
          frame(2, Buffer.of(1, 2, 3), { masked: false })
        ]
        const together = Buffer.concat(expected)
        assert.deepStrictEqual(yield* peer.take(together.length), together)
      })
    )
  )

  it.live.each(routes)("that are not dealt with stop the peer: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        let taken = 0
        const gate = yield* Deferred.make<void>()
        const { port } = yield* serveApp(
          route(() =>
            Effect.zipRight(
              Effect.sync(() => taken++),
              Deferred.await(gate)
            )
          )
        )
        const peer = yield* rawOpen(port)
        const message = frame(2, Buffer.alloc(65_000))
        const total = 600
        for (let i = 0; i < total; i++) yield* peer.write(message)
        yield* stalled(() => peer.socket.writableLength)
        assert.isAbove(peer.socket.writableLength, 16 * 1_048_576)
        assert.isBelow(taken, 50)
        yield* Deferred.succeed(gate, undefined)
        yield* eventually(() => taken === total)
      })
    )
  )

  it.live.each(routes)("that the peer does not read stop their sender: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const total = 600
        let sent = 0
        const send = (_: unknown, send: (message: Connection.Message) => Effect.Effect<void, unknown>) =>
          Effect.gen(function* () {
            for (; sent < total; sent++) yield* send(Buffer.alloc(65_000, sent))
          })
        const { port } = yield* serveApp(route(send))
        const peer = yield* rawOpen(port)
        peer.socket.pause()
        yield* peer.write(frame(1, "go"))
        yield* eventually(() => sent > 0)
        yield* stalled(() => sent)
        assert.isBelow(sent, total)
        peer.socket.resume()
        const all = yield* peer.take(total * 65_004)
        for (let i = 0; i < total; i++) assert.strictEqual(all[i * 65_004 + 65_003], i & 255)
      })
    )
  )

  it.live.each(routes)("fail to be sent when the connection is closed: %s", ([, route]) =>
    leavesNothing(
      Effect.gen(function* () {
        const exits = yield* Queue.unbounded<Exit.Exit<void, unknown>>()
        let write: (message: Connection.Message) => Effect.Effect<void, unknown> = nothing
        const { port } = yield* serveApp(
          route(
            (message, send) => {
              write = send
              return send(message)
            },
            () => Effect.flatMap(Effect.exit(write("too late")), (exit) => Queue.offer(exits, exit))
          )
        )
        const peer = yield* rawOpen(port)
        yield* peer.write(Buffer.concat([frame(1, "hello"), closeFrame(1000)]))
        assert.isTrue(Exit.isFailure(yield* Queue.take(exits)))
      })
    )
  )
})
