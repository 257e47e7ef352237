import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Connection.js"
import { ConnectionClosed } from "./ConnectionClosed.js"
import { Fiberless, type Owner } from "./fiberless.js"
import type { LazyScope } from "./lazyScope.js"
import type { LiveConnection } from "./liveConnection.js"
import { called } from "./loop.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { isForEach, TypeId } from "./reading.js"
import type { Task } from "./running.js"

/** What a connection's handler has of its server. */
export interface Host {
  /** The close code of a server that stops, while it does. */
  readonly stoppingCode: number | undefined
  readonly handler: (connection: Connection) => Effect.Effect<unknown, unknown>
  /** Runs what has been added to a scope; then says whether that went well. */
  readonly release: (scope: LazyScope, exit: Exit.Exit<unknown, unknown>, then: (isSound: boolean) => void) => void
  readonly log: (message: string, cause: Cause.Cause<unknown>, connection?: number) => void
  /** Nothing is left of the connection. */
  readonly left: (handling: Handling) => void
}

type Fork = (effect: Effect.Effect<unknown, unknown>) => Fiber.RuntimeFiber<unknown, unknown>

/** One connection of a server and its handler, from the handshake until nothing is left of both. */
export class Handling implements Task, Owner {
  place = -1
  readonly connection: LiveConnection
  private readonly host: Host
  private readonly scope: LazyScope & Scope.CloseableScope
  private readonly over: (() => void) | undefined
  private fork: Fork | undefined
  private fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
  private loop: Fiberless | undefined
  isInterrupted = false

  constructor(
    host: Host,
    connection: LiveConnection,
    scope: LazyScope & Scope.CloseableScope,
    over: (() => void) | undefined
  ) {
    this.host = host
    this.connection = connection
    this.scope = scope
    this.over = over
  }

  start(fork: Fork): void {
    this.fork = fork
    const { connection } = this
    const effect = called(() => this.host.handler(connection))
    if (isForEach(effect) && effect.reading === connection[TypeId]) {
      this.loop = new Fiberless(this, effect)
      this.loop.start()
    } else {
      this.goOnWith(effect)
    }
  }

  goOnWith(effect: Effect.Effect<unknown, unknown>): void {
    const fiber = this.fork!(effect)
    this.fiber = fiber
    if (this.isInterrupted) this.interrupt()
    fiber.addObserver((exit) => this.hasEnded(exit))
  }

  close(code: number): void {
    this.connection.lifecycle.startClose({ code, reason: "" })
  }

  interrupt(): void {
    // Before its fiber is had: the handler stops the server in its first step.
    this.isInterrupted = true
    if (this.fiber === undefined) this.loop?.interrupt()
    else this.fiber.unsafeInterruptAsFork(FiberId.none)
  }

  cut(): void {
    this.close(CloseCode.GoingAway)
    // As if all time that a closing handshake may take had passed.
    this.connection.lifecycle.fire(Number.POSITIVE_INFINITY)
  }

  hasEnded(exit: Exit.Exit<unknown, unknown>): void {
    const code = this.codeOf(exit)
    this.host.release(this.scope, exit, (isSound) => {
      this.close(isSound ? code : CloseCode.InternalError)
      this.connection.lifecycle.onClosed(() => {
        this.host.left(this)
        this.over?.()
      })
    })
  }

  /** The close code that a handler's end calls for. */
  private codeOf(exit: Exit.Exit<unknown, unknown>): number {
    const { stoppingCode } = this.host
    // Who ends because the server does says so, that its peer may come again.
    if (Exit.isSuccess(exit)) return stoppingCode ?? CloseCode.NormalClosure
    if (Cause.isInterruptedOnly(exit.cause)) return stoppingCode ?? CloseCode.GoingAway
    const { id, lifecycle } = this.connection
    const failure = Cause.failureOption(exit.cause)
    const isOwnEnd =
      Option.isSome(failure) &&
      failure.value instanceof ConnectionClosed &&
      failure.value.closure === lifecycle.closure()
    if (!isOwnEnd) this.host.log("a connection's handler failed", exit.cause, id)
    return CloseCode.InternalError
  }
}
