import { type HttpServerResponse, isServerResponse } from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import type { Connection } from "./Connection.js"
import type { Registry } from "./ConnectionRegistry.js"
import type { Engine, Entry } from "./deadlines.js"
import type * as Framing from "./Framing.js"
import type * as Handshake from "./Handshake.js"
import { handlerScheduler } from "./handlerScheduler.js"
import { Handling, type Host } from "./handling.js"
import { handshaken } from "./handshaken.js"
import { type Decision, decide, type Hooks } from "./hooks.js"
import type { Instruments } from "./instruments.js"
import * as LazyScope from "./lazyScope.js"
import { Admission, type Limits } from "./limits.js"
import { LiveConnection } from "./liveConnection.js"
import { Observed, type Opening } from "./opening.js"
import { printable } from "./printable.js"
import * as CloseCode from "./protocol/CloseCode.js"
import { type Agreement, isUpgrade, type Rejection, rejection, type ServerPolicy } from "./protocol/Handshake.js"
import type { HeaderList } from "./protocol/headers.js"
import * as headers from "./protocol/headers.js"
import { fromExchange, toResponse } from "./requestHook.js"
import { Deciding, type Drain, Running, Sending } from "./running.js"
import { withScope } from "./scopedContext.js"
import type { Settings } from "./settings.js"
import { Silences } from "./silence.js"
import { under } from "./spans.js"
import type { Acceptor, Exchange, Request, Response, ResponseHead } from "./Transport.js"

/** A server at work: from what a listener hears to handlers that run, and back to nothing when it stops. */

export interface ServingParts {
  readonly engine: Engine
  readonly framing: Framing.Service
  readonly handshake: Handshake.Service
  readonly settings: Settings
  readonly policy: ServerPolicy
  readonly openTimeout: number
  readonly maxHandshakes: number
  /** What every answer has, unless it says the same itself. */
  readonly headers: HeaderList
  readonly registry: Registry
  /** What handlers and hooks find beside what is their own. */
  readonly context: Context.Context<never>
  readonly handler: (connection: Connection) => Effect.Effect<unknown, unknown, never>
  readonly hooks: Hooks
  readonly limits: Limits
  /** How the server ends; at once without. */
  readonly drain: Drain | undefined
  /** Called when it begins to end. */
  readonly onStopping: () => void
}

/** A request for the log: without its query, in which there may be secrets. */
const nameOf = ({ method, target, peer: { remote } }: Request): string => {
  const from =
    remote === undefined ? "an unknown peer" : remote._tag === "TcpAddress" ? remote.hostname : "a local peer"
  return `${method} ${printable(target.replace(/[?#].*$/s, ""))} from ${from}`
}

/** Services and those of one request. A copy for each connection would be 0.8 kB, and most have nothing of their own. */
const added = (all: Context.Context<never>, own: Context.Context<never> | undefined): Context.Context<never> =>
  own === undefined || own.unsafeMap.size === 0 ? all : Context.merge(all, own)

type Scoped = ReturnType<typeof LazyScope.make>
type Answer = ReturnType<Handshake.Service["answer"]>

const postponed = (why: string) => rejection(503, `${why} Try again later.`, ["Retry-After", "5"])

export const unavailable = postponed("The server is stopping.")
const busy = postponed("The server has as many requests to decide about as it takes.")
const late = postponed("The server could not decide about this request in time.")
const failed = rejection(500, "The server could not handle this request.")
const malformed = rejection(400, "The request is malformed.")

export class Serving implements Acceptor, Host {
  private readonly parts: ServingParts
  /** What hooks and handlers run with. */
  private readonly handlerRefs: FiberRefs.FiberRefs
  private readonly running = new Running()
  private readonly silences: Silences
  /** Requests for a WebSocket about which hooks decide now. */
  private undecided = 0
  private readonly admission: Admission
  private readonly hasHooks: boolean
  private readonly instruments: Instruments
  private stopping = false

  constructor(parts: ServingParts) {
    this.parts = parts
    this.handlerRefs = FiberRefs.updateAs(parts.engine.runtime.fiberRefs, {
      fiberId: FiberId.none,
      fiberRef: FiberRef.currentScheduler,
      value: handlerScheduler
    })
    this.admission = new Admission(parts.limits, parts.engine.deadlines)
    this.instruments = parts.engine.instruments("server")
    this.silences = new Silences(parts.engine.deadlines, parts, (outcome) => this.instruments.handshake(outcome))
    this.hasHooks = Object.values(parts.hooks).some((hook) => hook !== undefined)
  }

  arrived(cut: () => void, wasAnswered?: boolean): () => void {
    return this.silences.arrived(cut, wasAnswered)
  }

  exchange(exchange: Exchange): void {
    let opening: Opening = exchange
    try {
      // An upgrade to something else is no opening handshake: clients ask pages for HTTP/2 so.
      if (exchange.isUpgrade && isUpgrade(exchange.request))
        opening = new Observed(exchange, this.instruments, this.parts.engine.spans)
      this.take(opening)
    } catch (cause) {
      // This is the transport's callback: whatever goes wrong with one request must not end the process.
      this.log("a request could not be dealt with", Cause.die(cause))
      opening.abort()
    }
  }

  private respond(exchange: Exchange, response: Response): void {
    // Whatever is refused is no fault of ours, and there is always somebody who tries.
    this.parts.engine.logs.debug(() => `${nameOf(exchange.request)} is answered with ${response.status}`)
    if (this.parts.drain !== undefined && exchange.onSent !== undefined) {
      const task: Sending = new Sending(() => this.running.ended(task))
      this.running.add(task)
      exchange.onSent(task.cut)
    }
    exchange.respond(this.complete(response))
  }

  private complete<R extends ResponseHead>(response: R): R {
    const missing = this.parts.headers.filter(
      ([name]) => headers.all(response.headers, name.toLowerCase()).length === 0
    )
    return missing.length === 0 ? response : { ...response, headers: [...response.headers, ...missing] }
  }

  private take(exchange: Opening): void {
    const { handshake, hooks } = this.parts
    const { request } = exchange
    if (this.stopping) {
      this.respond(exchange, unavailable)
      return
    }
    // What is malformed, or asks for a WebSocket wrongly, is answered here: the hook sees what makes sense.
    const refused = handshake.checkRequest(request)
    if (refused !== undefined) {
      this.respond(exchange, refused)
      return
    }
    const answer = this.answer(exchange)
    // Who has no place costs no hook.
    const key = hooks.connectionKey === undefined ? this.admission.keyOf(request.peer.remote) : undefined
    const crowded = answer._tag === "Agreement" ? this.admission.refusal(key) : undefined
    if (crowded !== undefined) {
      this.respond(exchange, crowded)
    } else if (answer._tag === "Rejection" && (hooks.onRequest === undefined || isUpgrade(request))) {
      this.respond(exchange, answer)
    } else if (this.hasHooks) {
      this.ask(exchange, answer)
    } else if (answer._tag === "Agreement") {
      this.accept(exchange, answer, Context.empty(), LazyScope.make(), key)
    }
  }

  /** The answer to a request for a WebSocket; the choice of a subprotocol is the user's code, and may throw. */
  private answer({ request, isUpgrade }: Exchange): Answer {
    try {
      const answer = this.parts.handshake.answer(request, this.parts.policy)
      // The edge reads headers too, and may have seen no upgrade in them.
      return answer._tag === "Agreement" && !isUpgrade ? malformed : answer
    } catch (cause) {
      this.log("a request for a WebSocket could not be answered", Cause.die(cause))
      return failed
    }
  }

  /** Runs the hooks, in a scope that becomes the connection's or ends with the answer. */
  private ask(exchange: Opening, answer: Answer): void {
    const request = fromExchange(exchange.request)
    if (request === undefined) {
      this.respond(exchange, malformed)
      return
    }
    if (exchange.isUpgrade && this.undecided >= this.parts.maxHandshakes) {
      this.respond(exchange, busy)
      return
    }
    const scope = LazyScope.make()
    const { deadlines } = this.parts.engine
    const fiber = this.fork(
      under(added(this.parts.context, exchange.services), exchange.span),
      scope,
      decide(this.parts.hooks, request, answer._tag === "Agreement" ? answer : undefined)
    )
    const task = new Deciding(fiber)
    this.running.add(task)
    const interrupt = () => task.interrupt()
    // A page may take its time; who wants a WebSocket has openTimeout for all of it.
    const fire = () => {
      exchange.because?.("timeout")
      interrupt()
    }
    const entry: Entry = { dueAt: 0, place: -1, fire }
    if (exchange.isUpgrade) {
      this.undecided++
      deadlines.set(entry, deadlines.now() + this.parts.openTimeout)
    }
    exchange.onAbort(interrupt)
    fiber.addObserver((exit) => {
      deadlines.remove(entry)
      if (exchange.isUpgrade) this.undecided--
      let isAccepted = false
      try {
        isAccepted = this.follow(exchange, answer, exit, scope)
      } catch (cause) {
        this.log("a request could not be dealt with", Cause.die(cause))
        exchange.abort()
      }
      // The scope is the connection's from now on, or ends here; a server that stops waits for that.
      if (isAccepted) this.running.ended(task)
      else this.release(scope, exit, () => this.running.ended(task))
    })
  }

  /** Does what the hooks have decided; says whether that is a connection. */
  private follow(
    exchange: Opening,
    answer: Answer,
    exit: Exit.Exit<Decision, HttpServerResponse>,
    scope: Scoped
  ): boolean {
    const decision = this.judge(exit)
    if (isServerResponse(decision)) {
      this.respond(exchange, this.written(decision, exchange))
    } else if (decision._tag === "Rejection") {
      this.respond(exchange, decision)
    } else if (answer._tag === "Rejection") {
      this.respond(exchange, answer)
    } else if (this.stopping) {
      this.respond(exchange, unavailable)
    } else {
      const { context, response = answer.response, key = this.admission.keyOf(exchange.request.peer.remote) } = decision
      // Others may have come while the hooks ran.
      const crowded = this.admission.refusal(key)
      if (crowded === undefined) {
        this.accept(exchange, { ...answer, response }, context, scope, key)
        return true
      }
      this.respond(exchange, crowded)
    }
    return false
  }

  /** A hook's answer as the port has it; one that HTTP cannot carry is a failure of the hook. */
  private written(response: HttpServerResponse, { request }: Exchange): Response {
    try {
      return toResponse(response, request, this.parts.engine.runtime)
    } catch (cause) {
      this.log("a hook's answer cannot be sent", Cause.die(cause))
      return failed
    }
  }

  /** What the hooks' end means: go on, or an answer. */
  private judge(exit: Exit.Exit<Decision, HttpServerResponse>): Decision | Rejection {
    if (Exit.isSuccess(exit)) return exit.value
    const answer = Cause.failureOption(exit.cause)
    if (Option.isSome(answer) && isServerResponse(answer.value)) return answer.value
    if (Cause.isInterruptedOnly(exit.cause)) return this.stopping ? unavailable : late
    this.log("a hook failed", exit.cause)
    return failed
  }

  private accept(
    exchange: Opening,
    agreement: Agreement,
    given: Context.Context<never>,
    scope: Scoped,
    key: string | undefined
  ): void {
    const { engine, framing, registry, settings } = this.parts
    const { request } = exchange
    const response = this.complete(agreement.response)
    const own = exchange.services === undefined ? given : added(exchange.services, given)
    const connection = new LiveConnection({
      role: "server",
      stream: exchange.accept(response),
      settings,
      codecs: agreement.codecs,
      maskingKeys: framing.maskingKeys,
      pingPayloads: framing.pingPayloads,
      deadlines: engine.deadlines,
      logs: engine.logs,
      onRoundTrip: this.instruments.onRoundTrip,
      context: own,
      handshake: handshaken(request, response, agreement)
    })
    this.admission.enter(connection, key)
    registry.add(connection)
    this.say(connection, () => `is open: ${nameOf(request)}`)
    const handling = new Handling(this, connection, scope, exchange.over)
    this.running.add(handling)
    const span = engine.spans?.connection("server", connection.id, connection.lifecycle, exchange.span)
    const context = under(added(this.parts.context, own), span)
    handling.start((handler) => this.fork(context, scope, handler))
  }

  private say({ id }: LiveConnection, what: () => string): void {
    this.parts.engine.logs.info(() => `connection ${id} ${what()}`, id)
  }

  // What connections' handlers have of their server

  get handler() {
    return this.parts.handler
  }

  get stoppingCode(): number | undefined {
    return this.stopping ? (this.parts.drain?.code ?? CloseCode.GoingAway) : undefined
  }

  left(handling: Handling): void {
    const { connection } = handling
    this.parts.registry.remove(connection)
    this.instruments.closed(connection.lifecycle)
    this.say(connection, () => `is closed: ${connection.lifecycle.error().message}`)
    this.running.ended(handling)
  }

  /** Starts a fiber whose services are these, and the scope. */
  private fork<A, E>(context: Context.Context<never>, scope: Scoped, effect: Effect.Effect<A, E>) {
    const { runtimeFlags } = this.parts.engine.runtime
    const runtime = Runtime.make({ context: withScope(context, scope), fiberRefs: this.handlerRefs, runtimeFlags })
    return Runtime.runFork(runtime, effect)
  }

  /** Runs what has been added to a scope, if anything was; then says whether that went well. */
  release(scope: Scoped, exit: Exit.Exit<unknown, unknown>, then: (isSound: boolean) => void): void {
    if (!scope.isUsed) {
      scope.endUnused(exit)
      then(true)
      return
    }
    const fiber = Runtime.runFork(this.parts.engine.runtime, Scope.close(scope, exit))
    fiber.addObserver((closed) => {
      if (Exit.isFailure(closed)) this.log("a finalizer of a connection's scope failed", closed.cause)
      then(Exit.isSuccess(closed))
    })
  }

  log(message: string, cause: Cause.Cause<unknown>, connection?: number): void {
    this.parts.engine.logs.error(message, cause, connection)
  }

  /**
   * Refuses whatever is asked, and ends what runs: all at once, closing with
   * 1001 and interrupting handlers, or as `drain` says. Completes when nothing
   * is left, or when the time for draining is up; who has asked nothing by
   * then is cut with the listener.
   */
  get stop(): Effect.Effect<void> {
    const { drain, engine, onStopping } = this.parts
    return Effect.suspend(() => {
      this.stopping = true
      onStopping()
      if (drain === undefined) return this.running.stop
      return Effect.flatMap(this.running.drain(engine.deadlines, drain), (left) =>
        left === 0
          ? Effect.void
          : Effect.logWarning(
              `${left} handlers did not end within drain.timeout (${drain.timeout} ms) and are left behind`
            )
      )
    })
  }
}
