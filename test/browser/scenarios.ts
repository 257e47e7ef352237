import { Effect, Fiber, Option, Ref, Schedule } from "effect"
import { Connection, ConnectionClosed, Reconnecting, Resume, WebSocketClient } from "effect-websockets"

/**
 * What a browser's client does with our server in `serving.ts`. It is bundled
 * and runs in the runtime that is tried; what comes out is data.
 */

type Scenario = (uri: string) => Effect.Effect<unknown, unknown, WebSocketClient.WebSocketClient>

const endOf = (closed: ConnectionClosed.ConnectionClosed) => ({
  sent: closed.closure.sent ?? null,
  received: closed.closure.received ?? null,
  initiator: closed.closure.initiator,
  cause: closed.closure.cause?._tag ?? null,
  isClean: ConnectionClosed.isClean(closed)
})

const failureOf = (connecting: ReturnType<typeof WebSocketClient.connect>) =>
  Effect.scoped(connecting).pipe(
    Effect.flip,
    Effect.map((error) => ({
      error: error._tag,
      reason: error._tag === "HandshakeError" ? error.reason._tag : null,
      isTransient: Reconnecting.isTransient(error)
    }))
  )

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff)

const areEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, i) => byte === other[i])

const numbers = Array.from({ length: 10_000 }, (_, i) => String(i))

/** Receives so many, and says how many of them are the numbers in order. */
const inOrder = (connection: Pick<Connection.Connection, "receiveText">, count: number) =>
  Effect.map(Effect.replicateEffect(connection.receiveText, count), (all) =>
    all.filter((text, i) => text === numbers[i])
  )

/** Completes once a condition holds. */
const until = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(holds, { until: (is) => is, schedule: Schedule.spaced("2 millis") })

const scenarios: Readonly<Record<string, Scenario>> = {
  echo: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/echo`)
      yield* connection.sendAll(["Grüße, 世界 👋🏽", bytes(256), "", new Uint8Array(0)])
      const text = yield* connection.receiveText
      const binary = yield* connection.receiveBytes
      const empty = [yield* connection.receiveText, (yield* connection.receiveBytes).length]
      const closed = yield* connection.close({ code: 4000, reason: "done" })
      return { text, binary: areEqual(binary, bytes(256)), empty, end: endOf(closed) }
    }).pipe(Effect.scoped),

  large: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/echo`)
      const text = "é".repeat(524_288)
      yield* connection.send(text)
      yield* connection.send(bytes(1_048_576))
      const same = (yield* connection.receiveText) === text
      return { text: same, binary: areEqual(yield* connection.receiveBytes, bytes(1_048_576)) }
    }).pipe(Effect.scoped),

  // What the server has heard of it is in its own record.
  weClose: (uri) =>
    Effect.forEach(
      [
        [1000, "done"],
        [3000, "library"],
        [4999, "ü".repeat(61)],
        [1011, "broken"]
      ] as const,
      ([code, reason]) =>
        Effect.gen(function* () {
          const connection = yield* WebSocketClient.connect(`${uri}/echo`)
          return endOf(yield* connection.close({ code, reason }))
        }).pipe(Effect.scoped)
    ),

  weLeave: (uri) =>
    Effect.gen(function* () {
      const connection = yield* Effect.scoped(WebSocketClient.connect(`${uri}/echo`))
      const state = yield* connection.state
      return { state: state._tag, end: endOf(yield* connection.closed) }
    }),

  theyClose: (uri) =>
    Effect.forEach(["1000&reason=bye", "1001", "1012&reason=restart", "4001&reason=%C3%BC"], (query) =>
      Effect.gen(function* () {
        const connection = yield* WebSocketClient.connect(`${uri}/close?code=${query}`)
        // Sent before the close frame: it stays readable behind it.
        const closed = yield* connection.closed
        const last = yield* connection.receiveText
        const error = yield* Effect.flip(connection.receive)
        return { last, isSame: error === closed, end: endOf(closed) }
      }).pipe(Effect.scoped)
    ),

  theyCut: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/cut`)
      const before = yield* connection.receiveText
      yield* connection.send("cut")
      const error = yield* Effect.flip(connection.receive)
      const late = yield* Effect.flip(connection.send("late"))
      return { before, isSame: error === late, end: endOf(yield* connection.closed) }
    }).pipe(Effect.scoped),

  refused: (uri) => failureOf(WebSocketClient.connect(`${uri}/refused`)),

  unreachable: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/free`)
      const port = yield* connection.receiveText
      return yield* failureOf(WebSocketClient.connect(uri.replace(/\d+$/, port)))
    }).pipe(Effect.scoped),

  timeout: (uri) => failureOf(WebSocketClient.connect(`${uri}/never`, { openTimeout: "150 millis" })),

  interrupted: (uri) =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(Effect.scoped(WebSocketClient.connect(`${uri}/never`)))
      const asked = yield* WebSocketClient.connect(`${uri}/asked`)
      // The server has the request that it will never answer.
      yield* asked.receive
      yield* Fiber.interrupt(connecting)
      // And has seen it go.
      return yield* asked.receiveText
    }).pipe(Effect.scoped),

  subprotocols: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/echo`, { subprotocols: ["soap", "chat"] })
      const none = yield* failureOf(WebSocketClient.connect(`${uri}/echo`, { subprotocols: ["soap"] }))
      return { chosen: Option.getOrNull(connection.handshake.subprotocol), none: none.error }
    }).pipe(Effect.scoped),

  burst: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/burst`)
      return (yield* inOrder(connection, numbers.length)).length
    }).pipe(Effect.scoped),

  order: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/echo`, { sendHighWaterMark: 4_096 })
      const most = yield* Ref.make(0)
      const sending = yield* Effect.fork(
        Effect.forEach(
          numbers,
          (text) =>
            Effect.zipRight(
              connection.send(text),
              Effect.flatMap(connection.bufferedAmount, (amount) => Ref.update(most, (n) => Math.max(n, amount)))
            ),
          { discard: true }
        )
      )
      const received = yield* inOrder(connection, numbers.length)
      yield* Fiber.join(sending)
      return { received: received.length, keptBelow: (yield* Ref.get(most)) < 4_096 + 5 }
    }).pipe(Effect.scoped),

  backpressure: (uri) =>
    Effect.gen(function* () {
      const mark = 262_144
      const size = 65_536
      const count = 256
      const connection = yield* WebSocketClient.connect(`${uri}/sink`, { sendHighWaterMark: mark })
      const progress = yield* Ref.make(0)
      const message = bytes(size)
      const send = Effect.zipRight(
        connection.send(message),
        Ref.update(progress, (n) => n + 1)
      )
      const sending = yield* Effect.fork(Effect.replicateEffect(send, count, { discard: true }))
      // Where nobody reads, it ends in `send` waiting.
      yield* until(Effect.map(connection.bufferedAmount, (amount) => amount >= mark))
      const most = yield* connection.bufferedAmount
      const waits = (yield* Ref.get(progress)) < count
      yield* Effect.scoped(WebSocketClient.connect(`${uri}/release`))
      yield* Fiber.join(sending)
      yield* connection.send("end")
      return { waits, isBounded: most < mark + size, taken: yield* connection.receiveText }
    }).pipe(Effect.scoped),

  reconnecting: (uri) =>
    Effect.gen(function* () {
      const seen = yield* Ref.make(0)
      const handler = Effect.fn(function* (connection: Connection.Connection) {
        if ((yield* Ref.updateAndGet(seen, (n) => n + 1)) === 3) return
        yield* connection.send("cut")
        yield* Connection.runForEach(connection, () => Effect.void)
      })
      yield* Reconnecting.run(`${uri}/cut`, handler, { schedule: Schedule.spaced("5 millis") })
      return yield* Ref.get(seen)
    }),

  resuming: (uri) =>
    Effect.gen(function* () {
      const session = yield* Resume.connect(`${uri}/resume`, { schedule: Schedule.spaced("5 millis") })
      const count = 200
      yield* Effect.fork(
        Effect.forEach(
          numbers.slice(0, count),
          (text, i) => Effect.zipRight(session.send(text), i % 50 === 25 ? session.send("cut") : Effect.void),
          { discard: true }
        )
      )
      const received = yield* inOrder(session, count)
      return { received: received.length, end: endOf(yield* session.close()) }
    }).pipe(Effect.scoped),

  unsupported: (uri) =>
    Effect.gen(function* () {
      const connection = yield* WebSocketClient.connect(`${uri}/echo`)
      const ping = yield* Effect.flip(connection.ping)
      const headers = yield* failureOf(WebSocketClient.connect(`${uri}/echo`, { headers: { a: "b" } }))
      return { ping: ping._tag, headers, canPing: connection.capabilities.ping }
    }).pipe(Effect.scoped)
}

/** Runs one of them; what fails is told. */
export const play = (name: string, uri: string): Effect.Effect<unknown, never, WebSocketClient.WebSocketClient> => {
  const scenario = scenarios[name]
  if (scenario === undefined) return Effect.dieMessage(`there is no scenario ${name}`)
  return scenario(uri).pipe(
    Effect.timeout("20 seconds"),
    Effect.catchAllCause((cause) => Effect.succeed({ failed: String(cause) }))
  )
}
