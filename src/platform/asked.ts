import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Headers from "@effect/platform/Headers"
import { empty, type HttpServerResponse, text } from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type * as FiberRefs from "effect/FiberRefs"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import type { Entry } from "../deadlines.js"
import * as exchange from "../node/exchange.js"
import { isUpgrade, rejection } from "../protocol/Handshake.js"
import type { Task } from "../running.js"
import { unavailable } from "../serving.js"
import type { Exchange, Response } from "../Transport.js"
import { adopted } from "./adopted.js"
import type { Application } from "./application.js"
import type { UpgradeOptions } from "./PlatformHttpServer.js"

/** What runs for a connection. */
export type Run = (connection: Connection) => Effect.Effect<unknown, unknown>

/** What runs for the connection of one request, among the services that its route has. */
export class Chosen extends Context.Tag("effect-websockets/PlatformHttpServer/Chosen")<Chosen, Run>() {}

const aborted = rejection(400, "The peer has gone.")
const taken = rejection(500, "The request has been answered already.")

/** A refusal as platform has it. */
const refusal = ({ status, headers, body, isLast }: Response): HttpServerResponse => {
  const all = Headers.fromInput(headers)
  const { connection } = all
  const closing = isLast === true ? { connection: connection === undefined ? "close" : `${connection}, close` } : {}
  return text(typeof body === "string" ? body : "", { status, headers: Headers.setAll(all, closing) })
}

/** A route that fails because its connection is over has seen a normal end. */
const atItsEnd = <E>(connection: Connection, left: Effect.Effect<void, E>): Effect.Effect<void, E> =>
  Effect.catchAllCause(left, (cause) =>
    Effect.flatMap(connection.state, ({ _tag }) => (_tag === "Open" ? Effect.failCause(cause) : Effect.void))
  )

/** A request that an application is asked, until its answer has left and the scope of its route is closed. */
export class Asked implements Task {
  place = -1
  readonly response: ServerResponse
  private readonly application: Application
  private readonly exchange: Exchange
  /** Takes the socket from the answer, when there is to be a connection instead. */
  private readonly release: () => void
  /** The answer has left, or never will, or is none but a connection. */
  private isAnswered = false
  /** The route has not come to its end. */
  private isRunning = false
  /** Nor its scope; platform closes that when it hears of the answer, which it does not of one that is lost. */
  private isOpen = false
  /** There is, or was, a connection instead of an answer. */
  private isTaken = false
  /** Its answer is one that whoever does handshakes has counted. */
  private isCounted = false
  /** Ends the connection that the route was given, and waits for that. */
  private leave: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<unknown> = () => Effect.void
  private readonly entry: Entry = { dueAt: 0, place: -1, fire: () => this.cut() }

  constructor(application: Application, asked: Exchange, { response, release }: exchange.Parted) {
    this.application = application
    this.exchange = asked
    this.response = response
    this.release = release
    application.answers.add(this)
    // Platform, node and we have more than the ten that node warns of, where a file is the answer.
    response.setMaxListeners(0)
  }

  /** A request for something else: it keeps its connection. */
  static plain(application: Application, message: IncomingMessage, response: ServerResponse): Asked {
    const plain = exchange.plain(message, response)
    const asked = new Asked(application, plain, { response, release: () => {} })
    // Where several are asked in a row, node tells only the first answer that the peer has gone.
    plain.onSent?.(() => asked.answered())
    return asked
  }

  /** The exchange was made in the tick of node's event, as the socket's error listener is its own. */
  static upgrade(application: Application, asked: Exchange, message: IncomingMessage, socket: Socket): Asked {
    const all = new Asked(application, asked, exchange.parted(message, socket))
    all.response.once("close", () => all.answered())
    return all
  }

  // As a task of a server that stops

  close(): void {}

  /** An answer has some time to leave; what comes of a connection ends with that. */
  interrupt(): void {
    if (!this.isTaken) this.limit()
  }

  private limit(): void {
    const { answerTimeout, engine } = this.application.host
    engine.deadlines.set(this.entry, engine.deadlines.now() + answerTimeout)
  }

  cut(): void {
    this.exchange.abort()
    this.end()
  }

  private answered(): void {
    if (!this.isTaken && !this.isCounted && !this.isAnswered) this.count()
    this.isAnswered = true
    // Nobody waits for it: platform would, without end, for an answer to a peer that has gone. It has been interrupted by then.
    process.nextTick(() => this.response.end())
    this.settle()
  }

  /** The route's own answer to a request for a WebSocket, as to one without a user. */
  private count(): void {
    if (!this.exchange.isUpgrade || !isUpgrade(this.exchange.request)) return
    const { statusCode, writableFinished } = this.response
    const instruments = this.application.host.engine.instruments("server")
    if (writableFinished) instruments.handshake("rejected", statusCode)
    else instruments.handshake("aborted")
  }

  private settle(): void {
    const isLost = !this.isTaken && !this.response.writableFinished
    if (this.isAnswered && !this.isRunning && (!this.isOpen || isLost)) this.end()
  }

  private end(): void {
    const { answers, host } = this.application
    host.engine.deadlines.remove(this.entry)
    answers.ended(this)
  }

  /** The peer may leave while a route makes up its mind: that is a reason to interrupt it, as for any request. */
  watch(): void {
    if (!this.isTaken && !this.isAnswered) this.exchange.onAbort(() => this.exchange.abort())
  }

  /** Runs the route; when its scope is closed the connection ends that it was given. */
  during<A, E, R>(route: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> {
    return Effect.suspend(() => {
      this.isRunning = true
      this.isOpen = true
      const closed = Effect.sync(() => {
        this.isOpen = false
        this.settle()
      })
      const ended = Effect.sync(() => {
        this.isRunning = false
        // Of a socket that node has given away, it does not watch over the rest.
        if (this.exchange.isUpgrade && !this.isTaken && this.entry.place < 0) this.limit()
        this.settle()
      })
      return Effect.zipRight(
        Effect.addFinalizer((exit) => Effect.zipRight(this.leave(exit), closed)),
        Effect.ensuring(route, ended)
      )
    })
  }

  /** The connection itself, for as long as the scope of the route is open; or a refusal. */
  get connection(): Effect.Effect<Connection, HttpServerResponse> {
    return Effect.gen(this, function* () {
      const opened = yield* Deferred.make<Connection, HttpServerResponse>()
      const left = yield* Deferred.make<void, unknown>()
      const over = yield* Deferred.make<void>()
      const run: Run = (connection) => {
        this.leave = (exit) => Effect.zipRight(Deferred.done(left, Exit.asVoid(exit)), Deferred.await(over))
        return Effect.zipRight(Deferred.succeed(opened, connection), atItsEnd(connection, Deferred.await(left)))
      }
      yield* this.open(undefined, run, yield* Effect.context<never>()).pipe(
        // Too late for a connection that was opened, which has ended then.
        Effect.flatMap((response) => Deferred.fail(opened, response)),
        Effect.ensuring(Deferred.succeed(over, undefined)),
        Effect.forkDaemon
      )
      return yield* Deferred.await(opened)
    })
  }

  /**
   * Does the opening handshake and runs what is given for the connection.
   * Completes with a refusal, or with an empty 101 when nothing is left of the
   * connection; interrupting it interrupts what runs, and waits for that. What
   * runs has the services that are given, and the references of this fiber.
   */
  open(
    options: UpgradeOptions | undefined,
    run: Run,
    services: Context.Context<never>
  ): Effect.Effect<HttpServerResponse> {
    return Effect.flatMap(Effect.getFiberRefs, (refs) => this.opening(options, run, services, refs))
  }

  private opening(
    options: UpgradeOptions | undefined,
    run: Run,
    services: Context.Context<never>,
    refs: FiberRefs.FiberRefs
  ): Effect.Effect<HttpServerResponse> {
    return Effect.async<HttpServerResponse>((resume) => {
      if (this.application.isStopping) return void resume(Effect.succeed(refusal(unavailable)))
      if (this.isTaken) return void resume(Effect.succeed(refusal(taken)))
      const { serving, leave } = this.application.place(options)
      let fiber: Fiber.RuntimeFiber<unknown, unknown> | undefined
      let isOver = false
      let whenOver = (response: HttpServerResponse) => resume(Effect.succeed(response))
      const over = (response: HttpServerResponse) => {
        if (isOver) return
        isOver = true
        leave()
        whenOver(response)
      }
      const chosen: Run = (connection) =>
        Effect.withFiberRuntime((current) => {
          fiber = current
          return adopted(refs, run(connection))
        })
      serving.exchange({
        ...this.exchange,
        services: Context.add(services, Chosen, chosen),
        accept: (head) => {
          this.isTaken = true
          this.release()
          // Nothing of it leaves any more: whoever looks finds an answer that was given.
          this.response.end()
          this.answered()
          return this.exchange.accept(head)
        },
        respond: (response) => {
          this.isCounted = true
          over(refusal(response))
        },
        onSent: undefined,
        abort: () => {
          this.exchange.abort()
          over(refusal(aborted))
        },
        over: () => over(empty({ status: 101 }))
      })
      return Effect.async<void>((done) => {
        whenOver = () => done(Effect.void)
        if (isOver) done(Effect.void)
        else fiber?.unsafeInterruptAsFork(FiberId.none)
      })
    })
  }
}

/** By node's request, which all requests that routers make of one have in common. */
const requests = new WeakMap<object, Asked>()

export const remember = (message: IncomingMessage, asked: Asked): void => {
  requests.set(message, asked)
}

export const find = (source: unknown): Asked | undefined =>
  typeof source === "object" && source !== null ? requests.get(source) : undefined
