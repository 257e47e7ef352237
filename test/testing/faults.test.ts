import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, FastCheck as fc, Scope, TestContext } from "effect"
import { Connection, ConnectionClosed } from "effect-websockets"
import { Frame, Testing } from "effect-websockets/testing"
import { chop } from "../protocol/helpers.js"

const echo = (connection: Connection.Connection) => Connection.runForEach(connection, connection.send)

const opened = (faults?: Partial<Testing.Faults>) =>
  Effect.gen(function* () {
    const connection = yield* Testing.connect(echo, { faults })
    return { connection, wire: yield* Testing.wireOf(connection) }
  })

/** A pair whose stream notes what comes to it: chunks as their bytes, and its end. */
const noted = Effect.gen(function* () {
  const { peer, stream, wire } = yield* Testing.makePair
  const log: Array<ReadonlyArray<number> | string> = []
  stream.attach({
    data: (bytes) => void log.push([...bytes]),
    end: () => void log.push("end"),
    drain: () => void log.push("drain"),
    closed: (error) => void log.push(error?.message ?? "closed")
  })
  return { peer, stream, wire, log }
})

const cutMessage = "lost the connection to memory: the wire was cut"

describe("L11: a fault of one direction", () => {
  it.scoped("leaves the other alone: stalled to the server, what the server says arrives", () =>
    Effect.gen(function* () {
      const { peer, stream, wire, log } = yield* noted
      yield* wire.toServer.stall
      yield* peer.write(Uint8Array.of(1))
      stream.write(Uint8Array.of(2))
      assert.deepStrictEqual(yield* peer.read, Uint8Array.of(2))
      yield* Testing.settle
      assert.deepStrictEqual(log, [])
      yield* wire.toServer.flow
      yield* Testing.settle
      assert.deepStrictEqual(log, [[1]])
    })
  )

  it.scoped("may be there from the start beside one of both, and holds instead of it", () =>
    Effect.gen(function* () {
      const connecting = yield* Effect.fork(opened({ delay: "1 seconds", toClient: { delay: "3 seconds" } }))
      yield* Testing.pass("3999 millis")
      assert.isNull(connecting.unsafePoll())
      yield* Testing.pass("1 millis")
      const { wire } = yield* Fiber.join(connecting)
      const arrivals = (yield* wire.recording).map((recorded) => recorded._tag !== "Cut" && recorded.arrivedAt)
      assert.deepStrictEqual(arrivals, [1000, 4000])
    })
  )
})

describe("L11: a wire that cuts itself", () => {
  it.scoped("lets exactly so many bytes arrive, counted from when that is set", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* peer.write(Uint8Array.of(1, 2))
      yield* Testing.settle
      yield* wire.toServer.cutAfterBytes(3)
      yield* peer.write(Uint8Array.of(3, 4))
      yield* Testing.settle
      assert.deepStrictEqual(log, [
        [1, 2],
        [3, 4]
      ])
      yield* peer.write(Uint8Array.of(5, 6))
      yield* Testing.settle
      assert.deepStrictEqual(log, [[1, 2], [3, 4], [5], cutMessage])
      yield* peer.closed
    })
  )

  it.scoped.each([1, 2])(
    "lets exactly %s frames arrive, however they are glued, and whatever else has begun",
    (count) =>
      Effect.gen(function* () {
        const { peer, wire, log } = yield* noted
        const frames = [Frame.text("a"), Frame.ping("bc"), Frame.text("d")]
        yield* wire.toServer.cutAfterFrames(count)
        yield* peer.send(frames, { maskingKey: "none" })
        yield* Testing.settle
        const arrived = frames.slice(0, count).flatMap((frame) => [...Frame.serialize(frame)])
        assert.deepStrictEqual([log.slice(0, -1).flat(), log.at(-1)], [arrived, cutMessage])
      })
  )

  it.scoped("does not count what is no whole frame", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* wire.toServer.cutAfterFrames(1)
      yield* peer.write(Uint8Array.of(0x81, 0x85))
      yield* peer.end
      yield* Testing.settle
      assert.deepStrictEqual(log, [[0x81, 0x85], "end"])
    })
  )

  it.scoped("does not count frames of the other direction", () =>
    Effect.gen(function* () {
      const { connection, wire } = yield* opened()
      yield* wire.toClient.cutAfterFrames(2)
      yield* connection.sendAll(["a", "b", "c"])
      assert.deepStrictEqual(yield* connection.receiveAll, ["a", "b"])
      assert.strictEqual((yield* connection.closed).message, cutMessage)
    })
  )

  it.scoped("is a request that never arrives, or a response", () =>
    Effect.gen(function* () {
      for (const faults of [{ toServer: { cutAfterBytes: 0 } }, { toClient: { cutAfterBytes: 0 } }]) {
        let runs = 0
        const error = yield* Testing.connect(() => Effect.sync(() => runs++), { faults }).pipe(
          Effect.flip,
          Effect.scoped
        )
        yield* Testing.settle
        assert.strictEqual(error.message, cutMessage)
        assert.strictEqual(runs, "toServer" in faults ? 0 : 1)
      }
    })
  )
})

describe("L11: a slow direction", () => {
  it.scoped("carries exactly so many bytes within a second, in order", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* wire.slow(100)
      yield* peer.write(Uint8Array.from({ length: 250 }, (_, i) => i))
      const arrived = () => log.flat() as ReadonlyArray<number>
      yield* Testing.pass("999 millis")
      assert.lengthOf(arrived(), 90)
      yield* Testing.pass("1 millis")
      assert.lengthOf(arrived(), 100)
      yield* Testing.pass("1500 millis")
      assert.deepStrictEqual(
        arrived(),
        Array.from({ length: 250 }, (_, i) => i)
      )
    })
  )

  it.scoped("does not save up what it has not carried while there was nothing", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* wire.slow(10)
      yield* Testing.pass("10 seconds")
      yield* peer.write(new Uint8Array(20))
      yield* Testing.pass("1 seconds")
      assert.lengthOf(log, 10)
      yield* wire.heal
      yield* Testing.settle
      assert.lengthOf(log.flat(), 20)
    })
  )

  it.scoped("takes its time with less than a byte a step", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* wire.slow(3)
      yield* peer.write(new Uint8Array(4))
      yield* Testing.pass("333 millis")
      assert.lengthOf(log, 0)
      yield* Testing.pass("1 millis")
      assert.lengthOf(log, 1)
      yield* Testing.pass("666 millis")
      assert.lengthOf(log, 3)
    })
  )
})

describe("L11: a wire's capacity", () => {
  it.scoped("is what a writer may be ahead", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(({ closed }) => closed, { faults: { capacity: 10 } })
      const wire = yield* Testing.wireOf(connection)
      yield* wire.stall
      yield* connection.send(new Uint8Array(4))
      yield* Testing.settle
      assert.strictEqual(yield* connection.bufferedAmount, 0)
      yield* connection.send(new Uint8Array(4))
      yield* Testing.settle
      assert.strictEqual(yield* connection.bufferedAmount, 20)
      yield* wire.flow
      yield* Testing.settle
      assert.strictEqual(yield* connection.bufferedAmount, 0)
    })
  )
})

describe("L11: splitAt", () => {
  it.scoped("parts what arrives at one byte", () =>
    Effect.gen(function* () {
      const { connection } = yield* opened({ splitAt: 3 })
      yield* connection.send("abc")
      assert.strictEqual(yield* connection.receive, "abc")
    })
  )
})

describe("L11: atEveryByte", () => {
  const ended = (connection: Connection.Connection) =>
    Effect.zipRight(connection.send("é😀"), Effect.zipRight(connection.receive, connection.close()))

  it.effect("runs a test for each byte of what is said, wherever it is parted", () =>
    Effect.gen(function* () {
      const seen: Array<Uint8Array> = []
      const count = yield* Testing.atEveryByte(
        (splitAt) => ({ toServer: { splitAt } }),
        (faults) =>
          Effect.gen(function* () {
            const { connection, wire } = yield* opened(faults)
            assert.isTrue(ConnectionClosed.isClean(yield* ended(connection)))
            seen.push(yield* wire.sentByClient)
          }).pipe(Effect.scoped)
      )
      // 12 bytes of text and 8 of the close frame: the first run is parted before all of them, the last finds none to part.
      assert.strictEqual(seen[0]?.length, 20)
      assert.strictEqual(count, 20)
      assert.lengthOf(seen, 21)
    })
  )

  it.effect("runs a test for each byte behind which the wire is cut, from none to all", () =>
    Effect.gen(function* () {
      const ends: Array<string> = []
      const count = yield* Testing.atEveryByte(
        (cutAfterBytes) => ({ toClient: { cutAfterBytes } }),
        (faults) =>
          Effect.gen(function* () {
            const { connection } = yield* opened(faults)
            const closed = yield* Effect.catchAll(ended(connection), () => connection.closed)
            ends.push(ConnectionClosed.isClean(closed) ? "clean" : closed.message)
          }).pipe(
            Effect.scoped,
            Effect.catchTag("TransportError", ({ message }) => Effect.sync(() => ends.push(`dial: ${message}`)))
          )
      )
      // 8 bytes of text, 4 of the close frame: without a byte the response is cut too.
      assert.strictEqual(count, 13)
      assert.strictEqual(ends[0], `dial: ${cutMessage}`)
      for (const end of ends.slice(1, 12)) assert.include(end, cutMessage)
      assert.deepStrictEqual(ends.slice(12), ["clean", "clean"])
    })
  )

  it.effect("says in the trace of a failure which byte it was", () =>
    Effect.gen(function* () {
      const failing = Testing.atEveryByte(
        (splitAt) => ({ splitAt }),
        (faults) =>
          Effect.scoped(
            Effect.zipRight(opened(faults), faults.splitAt === 0 ? Effect.void : Effect.fail(new Error("no")))
          )
      )
      // Nothing is sent: the first run is the last.
      assert.strictEqual(yield* failing, 0)
      const exit = yield* Effect.exit(
        Testing.atEveryByte(
          (splitAt) => ({ splitAt }),
          (faults) => {
            faults.onReached?.()
            return faults.splitAt === 2 ? Effect.fail(new Error("no")) : Effect.void
          }
        )
      )
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), "with the fault at byte 2")
    })
  )
})

describe("L11: nothing is reordered", () => {
  type Step = (wire: Testing.Wire, write: Effect.Effect<void>) => Effect.Effect<void>
  const steps: Readonly<Record<string, Step>> = {
    write: (_, write) => write,
    pass: () => Testing.pass("7 millis"),
    stall: ({ toServer }) => toServer.stall,
    flow: ({ flow }) => flow,
    delayed: ({ delay }) => delay("20 millis"),
    prompt: ({ toServer }) => toServer.delay(0),
    split: ({ split }) => split(2),
    slow: ({ slow }) => slow(500),
    heal: ({ heal }) => heal
  }

  it.effect("whatever faults come and go while bytes are on their way", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.oneof({ weight: 2, arbitrary: fc.constant("write") }, fc.constantFrom(...Object.keys(steps))), {
            maxLength: 25
          }),
          (names) =>
            Effect.gen(function* () {
              const { peer, wire, log } = yield* noted
              let written = 0
              const write = Effect.suspend(() =>
                peer.write(Uint8Array.of(written++ & 0xff, written++ & 0xff, written++ & 0xff))
              )
              for (const name of names) yield* steps[name]!(wire, write)
              yield* wire.heal
              yield* Testing.settle
              assert.deepStrictEqual(
                log.flat(),
                Array.from({ length: written }, (_, i) => i & 0xff)
              )
            }).pipe(Effect.provide(TestContext.TestContext), Effect.runPromise)
        ),
        { numRuns: 30 }
      )
    )
  )

  it.scoped("a byte that was sent later is not there earlier, as its delay is shorter", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      yield* wire.delay("100 millis")
      yield* peer.write(Uint8Array.of(1))
      yield* wire.delay(0)
      yield* peer.write(Uint8Array.of(2))
      yield* Testing.pass("99 millis")
      assert.deepStrictEqual(log, [])
      yield* Testing.pass("1 millis")
      assert.deepStrictEqual(log, [[1], [2]])
    })
  )
})

describe("L11: heal", () => {
  it.scoped("brings all that is on its way, and takes every fault back", () =>
    Effect.gen(function* () {
      const { peer, stream, wire, log } = yield* noted
      yield* wire.delay("1 hour")
      yield* wire.cutAfterBytes(100)
      yield* wire.stall
      yield* peer.write(Uint8Array.of(1, 2))
      yield* wire.heal
      yield* Testing.settle
      assert.deepStrictEqual(log, [[1, 2]])
      stream.write(new Uint8Array(200))
      assert.lengthOf(yield* peer.read, 200)
    })
  )

  it.effect("is done when the scope of a connection is left: nobody waits for time then", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { connection, wire } = yield* Scope.extend(opened(), scope)
      yield* wire.stall
      yield* connection.send("a")
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(ConnectionClosed.isClean(yield* connection.closed))
    })
  )
})

describe("L11: a fault that cannot be", () => {
  it.scoped.each<readonly [string, Partial<Testing.Faults>]>([
    ["split is 0", { split: 0 }],
    ["bytesPerSecond is -1", { bytesPerSecond: -1 }],
    ["capacity is -1", { capacity: -1 }],
    ["splitAt is -1", { splitAt: -1 }],
    ["cutAfterBytes is NaN", { toServer: { cutAfterBytes: Number.NaN } }],
    ["cutAfterFrames is -1", { toClient: { cutAfterFrames: -1 } }],
    ["delay is -5", { delay: -5 }]
  ])("is a defect: %s", ([sentence, faults]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Testing.connect(echo, { faults }))
      assert.include(Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty), sentence)
    })
  )
})

describe("L11: split", () => {
  it.scoped("gives what arrives in pieces of that size, and the rest", () =>
    Effect.gen(function* () {
      const { peer, wire, log } = yield* noted
      const bytes = Uint8Array.from({ length: 8 }, (_, i) => i)
      yield* wire.toServer.split(3)
      yield* peer.write(bytes)
      yield* Testing.settle
      assert.deepStrictEqual(
        log,
        chop(bytes, [3]).map((chunk) => [...chunk])
      )
    })
  )
})
