import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Fiber, TestClock } from "effect"
import { type Deadlines, type Entry, makeEngine } from "../src/deadlines.js"
import { settle } from "./support.js"

interface Noted extends Entry {
  readonly name: number
}

/** Deadlines that are stopped when the test is over, and what has fired: names and times. */
const make = Effect.gen(function* () {
  const { deadlines } = yield* Effect.acquireRelease(makeEngine, (engine) => Effect.sync(() => engine.deadlines.stop()))
  const fired: Array<readonly [name: number, at: number]> = []
  const entry = (name: number, then: (now: number) => void = () => {}): Noted => ({
    name,
    dueAt: 0,
    place: -1,
    fire: (now) => {
      fired.push([name, now])
      then(now)
    }
  })
  return { deadlines, fired, entry }
})

/** Lets time pass, and then whatever it causes. */
const pass = (milliseconds: number) => Effect.zipRight(settle, Effect.zipRight(TestClock.adjust(milliseconds), settle))

const children = Effect.map(Fiber.roots, (fibers) => fibers.length)

type Step =
  | { readonly _tag: "Set"; readonly name: number; readonly after: number }
  | { readonly _tag: "Remove"; readonly name: number }
  | { readonly _tag: "Pass"; readonly by: number }

const ENTRIES = 50

const steps: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.array(
  FastCheck.oneof(
    {
      weight: 8,
      arbitrary: FastCheck.record({
        _tag: FastCheck.constant("Set" as const),
        name: FastCheck.nat(ENTRIES - 1),
        after: FastCheck.integer({ min: 1, max: 60 })
      })
    },
    {
      weight: 3,
      arbitrary: FastCheck.record({ _tag: FastCheck.constant("Remove" as const), name: FastCheck.nat(ENTRIES - 1) })
    },
    {
      weight: 1,
      arbitrary: FastCheck.record({ _tag: FastCheck.constant("Pass" as const), by: FastCheck.nat(10) })
    }
  ),
  { minLength: 150, maxLength: 250 }
)

/** The simplest thing that has deadlines: a list that is searched at each millisecond. */
const naive = (run: ReadonlyArray<Step>): ReadonlyArray<string> => {
  const due = new Map<number, number>()
  const fired: Array<string> = []
  let now = 0
  const fire = () => {
    for (const [name, at] of due) {
      if (at > now) continue
      fired.push(`${now}: ${name}`)
      due.delete(name)
    }
  }
  for (const step of run) {
    if (step._tag === "Set") due.set(step.name, now + step.after)
    else if (step._tag === "Remove") due.delete(step.name)
    else {
      fire()
      for (let i = 0; i < step.by; i++) {
        now++
        fire()
      }
    }
  }
  return fired.sort()
}

describe("L3: deadlines", () => {
  it.scoped("whatever is set, moved and taken out fires as a list that is searched each millisecond would", () =>
    Effect.gen(function* () {
      for (const run of FastCheck.sample(steps, { numRuns: 8, seed: 7 })) {
        const { deadlines, fired, entry } = yield* make
        const begin = deadlines.now()
        const entries = Array.from({ length: ENTRIES }, (_, name) => entry(name))
        for (const step of run) {
          if (step._tag === "Set") deadlines.set(entries[step.name]!, deadlines.now() + step.after)
          else if (step._tag === "Remove") deadlines.remove(entries[step.name]!)
          else {
            // The test's clock stops at each wake-up on the way.
            yield* pass(step.by)
          }
        }
        assert.deepStrictEqual(fired.map(([name, at]) => `${at - begin}: ${name}`).sort(), naive(run))
        deadlines.stop()
      }
    })
  )

  it.scoped("an entry fires when it is due and not before, once, and may set itself again", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      const again: Entry = entry(1, (now) => {
        if (now < 30) deadlines.set(again, now + 10)
      })
      deadlines.set(again, 10)
      yield* pass(9)
      assert.deepStrictEqual(fired, [])
      yield* pass(1)
      assert.deepStrictEqual(fired, [[1, 10]])
      yield* pass(9)
      yield* pass(1)
      yield* pass(100)
      assert.deepStrictEqual(fired, [
        [1, 10],
        [1, 20],
        [1, 30]
      ])
      assert.strictEqual(again.place, -1)
    })
  )

  it.scoped("what fires may set and take out others", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      const others = [entry(2), entry(3), entry(4)] as const
      const first = entry(1, (now) => {
        deadlines.remove(others[0])
        deadlines.set(others[1], now)
        deadlines.set(others[2], now + 5)
      })
      deadlines.set(first, 10)
      deadlines.set(others[0], 10)
      deadlines.set(others[1], 20)
      yield* pass(10)
      assert.deepStrictEqual(fired, [
        [1, 10],
        [3, 10]
      ])
      yield* pass(5)
      assert.deepStrictEqual(fired.at(-1), [4, 15])
    })
  )

  it.scoped("one fiber sleeps for all of them, none where there is nothing, and none after stop", () =>
    Effect.gen(function* () {
      const before = yield* children
      const { deadlines, fired, entry } = yield* make
      yield* settle
      assert.strictEqual((yield* children) - before, 0)
      const entries = Array.from({ length: 100 }, (_, i) => entry(i))
      for (const [i, one] of entries.entries()) deadlines.set(one, 1000 - i)
      yield* settle
      assert.strictEqual((yield* children) - before, 1)
      for (const one of entries) deadlines.set(one, 2000)
      yield* pass(1500)
      assert.strictEqual((yield* children) - before, 1)
      deadlines.stop()
      yield* settle
      assert.strictEqual((yield* children) - before, 0)
      assert.isTrue(entries.every(({ place }) => place === -1))
      deadlines.set(entries[0]!, 1600)
      yield* pass(1000)
      assert.deepStrictEqual(fired, [])
      assert.strictEqual((yield* children) - before, 0)
    })
  )

  it.scoped("stop from inside of an entry ends all of it", () =>
    Effect.gen(function* () {
      const before = yield* children
      const { deadlines, fired, entry } = yield* make
      deadlines.set(
        entry(1, () => deadlines.stop()),
        10
      )
      deadlines.set(entry(2), 10)
      deadlines.set(entry(3), 20)
      yield* pass(30)
      assert.deepStrictEqual(fired, [[1, 10]])
      assert.strictEqual((yield* children) - before, 0)
    })
  )

  it.scoped("one in between of two milliseconds fires at the later one", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      deadlines.set(entry(0), 10.5)
      yield* pass(10)
      assert.deepStrictEqual(fired, [])
      yield* pass(1)
      assert.deepStrictEqual(fired, [[0, 11]])
    })
  )

  it.scoped("longer than a timer can wait is possible", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      const month = 31 * 24 * 3600 * 1000
      deadlines.set(entry(1), 2 * month)
      deadlines.set(entry(2), Number.POSITIVE_INFINITY)
      for (let day = 0; day < 61; day++) yield* pass(month / 31)
      assert.deepStrictEqual(fired, [])
      yield* pass(month / 31)
      assert.deepStrictEqual(fired, [[1, 2 * month]])
    })
  )
})

describe("L3: more than 1,000 deadlines", () => {
  /** As many as that with nothing to do for an hour. */
  const crowd = (deadlines: Deadlines, entry: (name: number) => Entry, size: number) => {
    for (let i = 0; i < size; i++) deadlines.set(entry(1000 + i), 3_600_000)
  }

  it.scoped("wake up at most every 250 ms", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      crowd(deadlines, entry, 1001)
      for (let i = 0; i < 5; i++) deadlines.set(entry(i), 300 + 100 * i)
      yield* pass(299)
      assert.deepStrictEqual(fired, [])
      for (const by of [1, 99, 100, 50, 1, 50, 100, 99, 1]) yield* pass(by)
      assert.deepStrictEqual(fired, [
        [0, 300],
        [1, 550],
        [2, 550],
        [3, 800],
        [4, 800]
      ])
    })
  )

  it.scoped("up to that they are exact", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      crowd(deadlines, entry, 995)
      for (let i = 0; i < 5; i++) deadlines.set(entry(i), 300 + 100 * i)
      for (let i = 0; i < 8; i++) yield* pass(100)
      assert.deepStrictEqual(fired, [
        [0, 300],
        [1, 400],
        [2, 500],
        [3, 600],
        [4, 700]
      ])
    })
  )

  it.scoped("are not put off by those that keep coming", () =>
    Effect.gen(function* () {
      const { deadlines, fired, entry } = yield* make
      crowd(deadlines, entry, 1001)
      for (let i = 0; i < 20; i++) {
        deadlines.set(entry(i), deadlines.now() + 10)
        yield* pass(100)
      }
      assert.isAtLeast(fired.length, 15)
      for (const [name, at] of fired) assert.isAtMost(at, 100 * name + 10 + 250)
    })
  )
})
