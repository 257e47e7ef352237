import type { RuntimeFiber } from "effect/Fiber"
import { defaultScheduler, type Scheduler, type Task } from "effect/Scheduler"

/** Below this many operations no fiber yields, and its own limit need not be looked up at each of them. */
const LOOK_FROM = 256

/**
 * The scheduler of handlers' fibers: the default one, except that the fiber
 * that a chunk of input wakes runs at once, inside the transport's callback.
 *
 * Exactly the one task that `run` schedules runs so. If all did, a
 * fiber that yields would recurse, and one that never waits would keep timers
 * and other input waiting.
 */
class HandlerScheduler implements Scheduler {
  private isArmed = false

  shouldYield(fiber: RuntimeFiber<unknown, unknown>): number | false {
    return fiber.currentOpCount <= LOOK_FROM ? false : defaultScheduler.shouldYield(fiber)
  }

  scheduleTask(task: Task, priority: number, fiber?: RuntimeFiber<unknown, unknown>): void {
    if (!this.isArmed) {
      defaultScheduler.scheduleTask(task, priority, fiber)
      return
    }
    this.isArmed = false
    task()
  }

  /** Resumes a fiber that waits, and runs it until it waits again. */
  run(waiting: { readonly proceed: () => void }): void {
    this.isArmed = true
    waiting.proceed()
    this.isArmed = false
  }
}

export const handlerScheduler = new HandlerScheduler()
