import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import { ConnectionClosed } from "./ConnectionClosed.js"
import { type Engine, type Entry, makeEngine } from "./deadlines.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { Close } from "./protocol/Frame.js"
import { isTemporary } from "./reconnectPolicy.js"
import type { Session } from "./session.js"
import { endedWith } from "./sessionState.js"

/** The sessions of a server, those that are carried by a connection and those that wait for one. */

export interface StoreSettings {
  /** Milliseconds that a session waits for its client. */
  readonly expiry: number
  /** How many sessions may wait. */
  readonly maxAway: number
}

/** Which handler has begun a session, and for whom: nobody else goes on with it. */
export interface Keeper {
  readonly handler: object
  readonly owner: unknown
}

interface Kept extends Keeper {
  readonly session: Session
}

/** A session that waits for its client, and when that is over. */
class Away implements Entry {
  dueAt = 0
  place = -1
  readonly fire: () => void

  constructor(fire: () => void) {
    this.fire = fire
  }
}

export class SessionStore {
  private readonly sessions = new Map<string, Kept>()
  /** The one that has waited longest comes first. */
  private readonly away = new Map<Session, Away>()
  private readonly engine: Engine
  private readonly scope: Scope.Scope
  private readonly settings: StoreSettings
  private readonly nextId: () => Uint8Array
  private closed = false

  constructor(engine: Engine, scope: Scope.Scope, settings: StoreSettings, nextId: () => Uint8Array) {
    this.engine = engine
    this.scope = scope
    this.settings = settings
    this.nextId = nextId
  }

  get size(): number {
    return this.sessions.size
  }

  /** Whether no session can be kept any more. */
  get isClosed(): boolean {
    return this.closed
  }

  /** Begins no session any more: what is run for one would be interrupted. */
  shut(): void {
    this.closed = true
  }

  /** Ends all sessions. */
  get end(): Effect.Effect<void> {
    const closed = endedWith({ initiator: "local" })
    return Effect.suspend(() =>
      Effect.forEach([...this.sessions.values()], ({ session }) => session.end(closed), { discard: true })
    )
  }

  /** A session, unless it is somebody else's. */
  find(id: Uint8Array, { handler, owner }: Keeper): Session | undefined {
    const kept = this.sessions.get(keyOf(id))
    return kept?.handler === handler && Equal.equals(kept.owner, owner) ? kept.session : undefined
  }

  /** Starts a session, and what is run for it in a fiber that ends with the store. */
  open<R>(
    keeper: Keeper,
    make: (onOver: (session: Session) => void) => Effect.Effect<Session>,
    run: (session: Session) => Effect.Effect<void, never, R>
  ): Effect.Effect<{ readonly id: Uint8Array; readonly session: Session }, never, R> {
    return Effect.uninterruptible(
      Effect.gen(this, function* () {
        const id = this.nextId()
        const key = keyOf(id)
        const session = yield* make((over) => {
          this.sessions.delete(key)
          this.isBack(over)
        })
        this.sessions.set(key, { ...keeper, session })
        yield* Effect.forkIn(Effect.interruptible(run(session)), this.scope)
        return { id, session }
      })
    )
  }

  /** A session's connection is lost: unless its client is back in time it is over. */
  isAway(session: Session, because: ConnectionClosed | undefined): void {
    if (session.isOver || session.isAttached || this.away.has(session)) return
    const { deadlines, runtime } = this.engine
    const over = () => {
      Runtime.runFork(runtime, session.end(because ?? endedWith({ cause: { _tag: "EndOfStream" } })))
    }
    const entry = new Away(over)
    this.away.set(session, entry)
    deadlines.set(entry, deadlines.now() + this.settings.expiry)
    // Whoever connects and vanishes again and again takes no more than so much memory.
    if (this.away.size > this.settings.maxAway) {
      for (const oldest of this.away.values()) {
        oldest.fire()
        break
      }
    }
  }

  /** A session waits no more. */
  isBack(session: Session): void {
    const entry = this.away.get(session)
    if (entry === undefined) return
    this.away.delete(session)
    this.engine.deadlines.remove(entry)
  }
}

const keyOf = (id: Uint8Array): string => id.reduce((key, byte) => key + byte.toString(16).padStart(2, "0"), "")

/** A store in the scope: when that closes, what runs for its sessions is interrupted. */
export const makeStore = (
  settings: StoreSettings,
  nextId: () => Uint8Array
): Effect.Effect<SessionStore, never, Scope.Scope> =>
  Effect.gen(function* () {
    const engine = yield* makeEngine
    const scope = yield* Effect.scope
    const running = yield* Scope.make()
    const store = new SessionStore(engine, running, settings, nextId)
    yield* Scope.addFinalizerExit(scope, (exit) =>
      Effect.sync(() => store.shut()).pipe(
        Effect.zipRight(Scope.close(running, exit)),
        Effect.zipRight(store.end),
        Effect.zipRight(Effect.sync(() => engine.deadlines.stop()))
      )
    )
    return store
  })

// Why a connection carries no session.

export const unknown: Close = {
  code: CloseCode.PolicyViolation,
  reason: "this session is unknown: it has expired, or the server was started anew"
}

export const storeClosed: Close = {
  code: CloseCode.PolicyViolation,
  reason: "no sessions are kept: Resume.layer is closed, provide it to the server's layer"
}

/** Runs a handler for a session, and ends that with it. */
export const serve = <A, E, R>(session: Session, handle: (session: Session) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.suspend(() => handle(session))).pipe(
    Effect.exit,
    Effect.onExit((ended) =>
      Effect.suspend(() => {
        const exit = Exit.flatten(ended)
        const code = Exit.isSuccess(exit)
          ? CloseCode.NormalClosure
          : Cause.isInterruptedOnly(exit.cause)
            ? CloseCode.GoingAway
            : CloseCode.InternalError
        session.finish({ code, reason: "" })
        if (Exit.isSuccess(exit) || code !== CloseCode.InternalError) return Effect.void
        const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
        // A handler that fails with its session's end has ended normally.
        return failure instanceof ConnectionClosed && failure.closure === session.closure
          ? Effect.void
          : Effect.logError("a session's handler failed", exit.cause)
      })
    ),
    Effect.asVoid
  )

/** A session that ends goes on until its client has confirmed that it has everything. */
export const survives = (closed: ConnectionClosed, isEnding: boolean): boolean =>
  isEnding ? closed.closure.received === undefined : isTemporary(closed)
