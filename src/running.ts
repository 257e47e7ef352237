import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Random from "effect/Random"
import type { Deadlines, Entry } from "./deadlines.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { type Member, Roster } from "./roster.js"
import { milliseconds } from "./settings.js"

/** What runs for a server's peers, hooks and handlers, and how it ends when the server stops. */

export interface Task extends Member {
  /** Tells the peer that the server goes away. */
  readonly close: (code: number) => void
  readonly interrupt: () => void
  /** Ends the connection without waiting for the peer any longer. */
  readonly cut: () => void
}

type TaskFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Hooks that decide about a request: there is no connection yet. */
export class Deciding implements Task {
  place = -1
  private readonly fiber: TaskFiber

  constructor(fiber: TaskFiber) {
    this.fiber = fiber
  }

  close(): void {}

  interrupt(): void {
    this.fiber.unsafeInterruptAsFork(FiberId.none)
  }

  cut(): void {}
}

/** An answer on its way: a server that is drained waits until it has left, and for no longer than for handlers. */
export class Sending implements Task {
  place = -1
  readonly interrupt: () => void
  readonly cut: () => void

  constructor(over: () => void) {
    this.interrupt = over
    this.cut = over
  }

  close(): void {}
}

/** How a server is drained. */
export interface DrainOptions {
  /** The whole shutdown takes at most so long, whatever peers and handlers do: 30 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** For so long after `Stopping` peers are told nothing yet, so that handlers can say something to them: no time. */
  readonly grace?: Duration.DurationInput | undefined
  /** The close frames are spread over so long, at random, so that peers do not all come back at once: no time. */
  readonly jitter?: Duration.DurationInput | undefined
  /** What peers are told: 1001 (`GoingAway`), or 1012 (`ServiceRestart`). */
  readonly code?: 1001 | 1012 | undefined
}

export const drainDefaults = { timeout: "30 seconds", grace: 0, jitter: 0, code: CloseCode.GoingAway } as const

/** Handlers that still run are interrupted so long before the timeout, or a tenth of it where that is less, for their finalizers. */
export const finalizersTime: Duration.DurationInput = "1 second"

/** The same in milliseconds. */
export interface Drain {
  readonly timeout: number
  readonly grace: number
  readonly jitter: number
  readonly code: number
}

/** Options that leave no time for anything are the programmer's fault and throw. */
export const resolveDrain = (options: DrainOptions): Drain => {
  const duration = (name: "timeout" | "grace" | "jitter") =>
    milliseconds(`drain.${name}`, options[name] ?? drainDefaults[name])
  const [timeout, grace, jitter] = [duration("timeout"), duration("grace"), duration("jitter")]
  if (!Number.isFinite(timeout) || grace + jitter >= timeout) {
    throw new RangeError(
      `drain.timeout is ${timeout} ms: give more than grace and jitter together, and less than Infinity`
    )
  }
  return { timeout, grace, jitter, code: options.code ?? drainDefaults.code }
}

export class Running {
  private readonly tasks = new Roster<Task>()
  private whenIdle: (() => void) | undefined

  add(task: Task): void {
    this.tasks.add(task)
  }

  ended(task: Task): void {
    this.tasks.remove(task)
    if (this.tasks.size === 0) this.whenIdle?.()
  }

  /** Closes and interrupts everything now; completes when nothing is left. */
  get stop(): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      for (const task of this.tasks.all) {
        task.close(CloseCode.GoingAway)
        task.interrupt()
      }
      if (this.tasks.size === 0) resume(Effect.void)
      else this.whenIdle = () => resume(Effect.void)
    })
  }

  /**
   * Tells peers that the server goes away and lets handlers come to their end.
   * Completes when nothing is left, or when the timeout is up, and then says
   * how much is left behind.
   */
  drain(deadlines: Deadlines, { timeout, grace, jitter, code }: Drain): Effect.Effect<number> {
    const entries: Array<Entry> = []
    const from = deadlines.now()
    const at = (delay: number, fire: () => void) => {
      const entry: Entry = { dueAt: 0, place: -1, fire }
      entries.push(entry)
      deadlines.set(entry, from + delay)
    }
    const each = (act: (task: Task) => void) => () => {
      for (const task of this.tasks.all) act(task)
    }
    const isOver = Effect.async<void>((resume) => {
      if (this.tasks.size === 0) {
        resume(Effect.void)
        return
      }
      this.whenIdle = () => resume(Effect.void)
      at(
        timeout - Math.min(Duration.toMillis(finalizersTime), timeout / 10),
        each((task) => task.interrupt())
      )
      at(timeout, () => {
        each((task) => task.cut())()
        resume(Effect.void)
      })
    })
    return Effect.forEach(
      this.tasks.all,
      (task) =>
        Effect.map(Random.next, (part) => {
          const delay = Math.round(grace + jitter * part)
          if (delay > 0) at(delay, () => task.close(code))
          else task.close(code)
        }),
      { discard: true }
    ).pipe(
      Effect.zipRight(isOver),
      Effect.map(() => {
        for (const entry of entries) deadlines.remove(entry)
        return this.tasks.size
      })
    )
  }
}
