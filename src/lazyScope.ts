import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { pipeArguments } from "effect/Pipeable"
import * as Scope from "effect/Scope"

/** `Scope`'s methods, which its declarations keep to themselves. */
interface Methods {
  readonly fork: (strategy: Scope.Scope["strategy"]) => Effect.Effect<Scope.CloseableScope>
  readonly addFinalizer: (finalizer: Scope.Scope.Finalizer) => Effect.Effect<void>
  readonly close: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
  /** Effect's own `forkIn`, and so `forkScoped`, adds its finalizer here and not by `addFinalizer`. */
  readonly state: unknown
}

const sequential = Effect.runSync(Scope.make()).strategy

/** A scope that is made when it is first used: most handlers never acquire anything, and each would cost 0.3 kB. */
class LazyScope implements Methods {
  readonly [Scope.ScopeTypeId]: Scope.ScopeTypeId = Scope.ScopeTypeId
  readonly [Scope.CloseableScopeTypeId]: Scope.CloseableScopeTypeId = Scope.CloseableScopeTypeId
  readonly strategy = sequential
  private made: (Scope.CloseableScope & Methods) | undefined
  private ended: Exit.Exit<unknown, unknown> | undefined

  private get scope(): Scope.CloseableScope & Methods {
    if (this.made === undefined) {
      this.made = Effect.runSync(Scope.make()) as Scope.CloseableScope & Methods
      if (this.ended !== undefined) Effect.runSync(this.made.close(this.ended))
    }
    return this.made
  }

  get isUsed(): boolean {
    return this.made !== undefined
  }

  /** Ends a scope that nobody has used; a fiber that outlives it finds it closed. */
  endUnused(exit: Exit.Exit<unknown, unknown>): void {
    this.ended = exit
  }

  get state(): unknown {
    return this.scope.state
  }

  pipe() {
    // biome-ignore lint/complexity/noArguments: pipeArguments is defined on them.
    return pipeArguments(this, arguments)
  }

  fork(strategy: Scope.Scope["strategy"]) {
    return this.scope.fork(strategy)
  }

  addFinalizer(finalizer: Scope.Scope.Finalizer) {
    return this.scope.addFinalizer(finalizer)
  }

  close(exit: Exit.Exit<unknown, unknown>) {
    return this.scope.close(exit)
  }
}

export type { LazyScope }

export const make = (): LazyScope & Scope.CloseableScope => new LazyScope()
