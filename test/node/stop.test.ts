import { createServer as createHttpServer } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import { assert, describe, it } from "@effect/vitest"
import { Effect, ExecutionStrategy, Exit, Scope } from "effect"
import { type Connection, ConnectionClosed } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import {
  certificate,
  closeFrame,
  connect,
  eventually,
  frame,
  leavesNothing,
  listening,
  type Peer,
  rawConnect,
  rawOpen,
  rawTls,
  requestText,
  serve,
  serveOn
} from "./support.js"

const COUNT = 200

type Handler = (connection: Connection.Connection) => Effect.Effect<unknown>

/** A server in some form, and how raw peers reach it. */
type Form = (handler: Handler) => Effect.Effect<Effect.Effect<Peer, never, Scope.Scope>, unknown, Scope.Scope>

const usersHttp = listening(() => createHttpServer())
const usersHttps = Effect.flatMap(certificate, (pair) => listening(() => createHttpsServer(pair)))

/** What is the user's lives as long as the test, what is ours as long as the scope that is stopped. */
const forms: ReadonlyArray<readonly [string, Effect.Effect<Form, unknown, Scope.Scope>]> = [
  ["of HTTP", Effect.succeed((handler) => Effect.map(serve(handler), ({ port }) => rawConnect(port)))],
  [
    "of HTTPS",
    Effect.map(
      certificate,
      (tls) => (handler) =>
        Effect.map(serve(handler, { listen: { port: 0, host: "127.0.0.1", tls } }), ({ port }) => rawTls({ port }))
    )
  ],
  [
    "on HTTP of the user's",
    Effect.map(
      usersHttp,
      ({ server, port }) =>
        (handler) =>
          Effect.as(serveOn(handler, NodeListener.fromServer(server)), rawConnect(port))
    )
  ],
  [
    "on HTTPS of the user's",
    Effect.map(
      usersHttps,
      ({ server, port }) =>
        (handler) =>
          Effect.as(serveOn(handler, NodeListener.fromServer(server)), rawTls({ port }))
    )
  ]
]

/** A peer that is open, answers the first close frame that comes, and remembers it. */
const polite = (open: Effect.Effect<Peer, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const peer = yield* open
    yield* peer.write(requestText())
    yield* peer.head
    const told = yield* Effect.fork(
      Effect.tap(peer.take(4), () => Effect.zipRight(peer.write(closeFrame(1001)), peer.rest))
    )
    return Effect.map(told, (bytes) => bytes.toString("hex"))
  })

describe.each(forms)("L5: a server %s", (_, make) => {
  it.live.each(["sequential", "parallel"] as const)(
    `stops with ${COUNT} live connections in under a second, every peer having seen 1001, in a %s scope`,
    (strategy) =>
      leavesNothing(
        Effect.gen(function* () {
          const form = yield* make
          const scope = yield* Scope.make(
            strategy === "parallel" ? ExecutionStrategy.parallel : ExecutionStrategy.sequential
          )
          let working = 0
          let released = 0
          let besides = 0
          yield* Scope.addFinalizer(
            scope,
            Effect.sync(() => besides++)
          )
          const open = yield* Scope.extend(
            form((connection) =>
              Effect.acquireUseRelease(
                Effect.sync(() => working++),
                // Half of them wait for a message, half are busy with something else.
                (number) => (number % 2 === 0 ? Effect.never : Effect.ignore(connection.receive)),
                () => Effect.sync(() => released++)
              )
            ),
            scope
          )
          const peers = yield* Effect.all(
            Array.from({ length: COUNT }, () => polite(open)),
            { concurrency: 20 }
          )
          // Who asks for nothing does not hold it up either.
          yield* open
          yield* eventually(() => working === COUNT)
          const begun = performance.now()
          yield* Scope.close(scope, Exit.void)
          const elapsed = performance.now() - begun
          assert.deepStrictEqual(new Set(yield* Effect.all(peers)), new Set([closeFrame(1001, false).toString("hex")]))
          assert.deepStrictEqual([released, besides], [COUNT, 1])
          // Far from closeTimeout, and from what two busy cores can make of it.
          assert.isBelow(elapsed, 5_000)
        })
      )
  )
})

describe("L5: the end of a handler", () => {
  it.live.each<readonly [string, Effect.Effect<unknown, unknown>, number]>([
    ["returns", Effect.void, 1000],
    ["fails", Effect.fail("a failure"), 1011],
    ["dies", Effect.die(new Error("a bug")), 1011],
    ["interrupts itself", Effect.interrupt, 1001]
  ])("that %s is told to the peer as a code, and nothing else of it", ([_, end, code]) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(() => end)
        const peer = yield* rawOpen(port)
        assert.strictEqual((yield* peer.take(4)).toString("hex"), closeFrame(code, false).toString("hex"))
        yield* peer.write(closeFrame(code))
        assert.strictEqual((yield* peer.rest).bytes.length, 0)
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), code)
      })
    )
  )

  it.live("that throws where it should return an effect is 1011 too", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(() => assert.fail("a bug"))
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1011)
      })
    )
  )
})

describe("a server that stops", () => {
  it.live("L4: cuts a peer that does not answer its close frame after closeTimeout, and waits no longer", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { port } = yield* Scope.extend(
          serve(() => Effect.never, { closeTimeout: "100 millis" }),
          scope
        )
        const peer = yield* rawOpen(port)
        const begun = performance.now()
        yield* Scope.close(scope, Exit.void)
        assert.isAbove(performance.now() - begun, 95)
        assert.strictEqual((yield* peer.rest).bytes.toString("hex"), closeFrame(1001, false).toString("hex"))
      })
    )
  )

  it.live("L5: says 1001 at once, also where a handler cannot be interrupted", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { port } = yield* Scope.extend(
          serve(({ closed }) => Effect.uninterruptible(closed)),
          scope
        )
        const connection = yield* connect(`ws://127.0.0.1:${port}`)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      })
    )
  )

  it.live("L4: cuts a peer that neither reads nor answers, with much still to be sent to it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        let sent = 0
        const { port } = yield* Scope.extend(
          serve(
            (connection) =>
              Effect.forever(
                Effect.zipRight(
                  connection.send(Buffer.alloc(100_000)),
                  Effect.sync(() => sent++)
                )
              ),
            { closeTimeout: "100 millis" }
          ),
          scope
        )
        const peer = yield* rawOpen(port)
        peer.socket.pause()
        yield* eventually(() => sent > 2)
        yield* Scope.close(scope, Exit.void)
      })
    )
  )

  it.live("L3: says 1011 to a peer that does not answer a ping, over TLS too, and cuts it", () =>
    leavesNothing(
      Effect.gen(function* () {
        const tls = yield* certificate
        const keepalive = { pingInterval: "50 millis", pingTimeout: "50 millis" } as const
        const plain = yield* serve(({ closed }) => closed, keepalive)
        const secure = yield* serve(({ closed }) => closed, {
          ...keepalive,
          listen: { port: 0, host: "127.0.0.1", tls }
        })
        for (const open of [rawConnect(plain.port), rawTls({ port: secure.port })]) {
          const peer = yield* open
          yield* peer.write(requestText())
          yield* peer.head
          assert.strictEqual((yield* peer.take(6)).toString("hex", 0, 2), "8904")
          const { bytes, ending } = yield* peer.rest
          const payload = Buffer.concat([Buffer.of(0x03, 0xf3), Buffer.from("keepalive ping timeout")])
          assert.strictEqual(bytes.toString("hex"), frame(8, payload, { masked: false }).toString("hex"))
          assert.strictEqual(ending, "end")
        }
      })
    )
  )
})
