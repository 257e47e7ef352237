import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, type Option, Scope } from "effect"
import { Connection, type Transport, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { generate } from "selfsigned"
import { afterEach } from "vitest"
import { makeSigner, type Pair } from "../support/certificates.js"

export * from "./peer.js"

/** What tests on real sockets share: guards, servers and clients in a scope, certificates, and from `peer.ts` peers that speak bytes. */

// Whatever a peer does, no error may escape: what does fails the test in which it happened.
const escaped: Array<unknown> = []
process.on("uncaughtException", (error) => escaped.push(error))
process.on("unhandledRejection", (error) => escaped.push(error))
afterEach(async () => {
  await new Promise(setImmediate)
  assert.deepStrictEqual(escaped.splice(0), [])
})

// Waiting for what has no event of its own

/** Completes once the condition holds; looks again with each turn of the event loop. */
export const eventually = (holds: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    let next: NodeJS.Immediate
    const look = () => {
      if (holds()) resume(Effect.void)
      else next = setImmediate(look)
    }
    look()
    return Effect.sync(() => clearImmediate(next))
  })

/** Lets the event loop turn: what has arrived by now is dealt with. */
export const turns = (count: number): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
  })

/** Completes once a number has not changed for many turns of the event loop. */
export const stalled = (measure: () => number): Effect.Effect<void> => {
  let last = Number.NaN
  let same = 0
  return eventually(() => {
    const now = measure()
    same = now === last ? same + 1 : 0
    last = now
    return same > 2_000
  })
}

const isSocket = (name: string) => /TCP|TLS|Pipe|GetAddrInfo|HTTP/.test(name)

/** The sockets, servers and look-ups that the process has now. */
export const handles = (): ReadonlyArray<string> => process.getActiveResourcesInfo().filter(isSocket).sort()

/** Runs an effect in a scope of its own, and waits until it has left no socket behind. */
export const leavesNothing = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    const before = handles().join()
    const nothing = eventually(() => handles().join() === before).pipe(
      Effect.timeoutFail({ duration: "3 seconds", onTimeout: () => new Error(`left: ${handles()}, not ${before}`) }),
      Effect.orDie,
      // A finalizer would not let the timeout end anything.
      Effect.interruptible
    )
    return Effect.ensuring(Effect.scoped(effect), nothing)
  })

/** Starts an effect so many times, interrupts it each time after one more turn of the event loop, and closes its scope. */
export const interruptedAtAnyMoment = <A, E>(
  started: Effect.Effect<A, E, Scope.Scope>,
  moments: number
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const before = handles().join()
    for (let moment = 0; moment < moments; moment++) {
      const scope = yield* Scope.make()
      const fiber = yield* Effect.fork(Scope.extend(started, scope))
      yield* turns(moment)
      yield* Fiber.interrupt(fiber)
      yield* Scope.close(scope, Exit.void)
    }
    yield* eventually(() => handles().join() === before)
  })

/** A folder for sockets, which is gone with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ws-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

// Certificates

export type { Pair } from "../support/certificates.js"

const makePair = async (name: string, notAfterDate?: Date): Promise<Pair> => {
  const extensions =
    name === "localhost"
      ? [
          { type: 2 as const, value: name },
          { type: 7 as const, ip: "127.0.0.1" }
        ]
      : [{ type: 2 as const, value: name }]
  const made = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
    algorithm: "sha256",
    ...(notAfterDate === undefined ? {} : { notBeforeDate: new Date("2020-01-01"), notAfterDate }),
    extensions: [{ name: "subjectAltName", altNames: extensions }]
  })
  return { key: made.private, cert: made.cert }
}

const memoised = <A>(make: () => Promise<A>) => {
  let made: Promise<A> | undefined
  return Effect.promise(() => {
    made ??= make()
    return made
  })
}

/** A self-signed certificate for localhost and 127.0.0.1, and one for another name: made once in each file. */
export const certificate = memoised(() => makePair("localhost"))
export const foreignCertificate = memoised(() => makePair("elsewhere.example"))
/** Another one for localhost, and one that was for it until long ago. */
export const otherCertificate = memoised(() => makePair("localhost"))
export const expiredCertificate = memoised(() => makePair("localhost", new Date("2020-02-01")))

/** An authority: made once in each file. */
export const signer = memoised(() => makeSigner("An authority"))

// Our own ends

const quiet = Logger.remove(Logger.defaultLogger)

type Handler<R> = (connection: Connection.Connection) => Effect.Effect<unknown, unknown, R>

/** A server of ours in the scope, on a free port of 127.0.0.1 unless told otherwise. */
export const serve = <R = never, P = never, R2 = never, R3 = never>(
  handler: Handler<R>,
  options: WebSocketServer.ServerOptions<P, R2, R3> & {
    readonly listen?: Parameters<typeof NodeListener.layer>[0]
  } = {}
) => serveOn(handler, NodeListener.layer(options.listen ?? { port: 0, host: "127.0.0.1" }), options)

/** The same on any listener. */
export const serveOn = <R = never, P = never, R2 = never, R3 = never>(
  handler: Handler<R>,
  listener: Layer.Layer<Transport.Listener>,
  options: WebSocketServer.ServerOptions<P, R2, R3> = {}
) =>
  Effect.map(
    Layer.build(WebSocketServer.layer(handler, options).pipe(Layer.provide(listener), Layer.provide(quiet))),
    (context) => {
      const server = Context.get(context, WebSocketServer.WebSocketServer)
      const { addresses } = server
      return {
        addresses,
        get port() {
          const { address } = server
          return address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
        }
      }
    }
  )

/** Why a client cannot connect; that it can is a defect. */
export const failureOf = <E, R>(
  connecting: Effect.Effect<unknown, E, R>
): Effect.Effect<E, never, Exclude<R, Scope.Scope>> =>
  Effect.orDieWith(Effect.flip(Effect.scoped(connecting)), () => new Error("it connected"))

/** A client of ours. */
export const connect = (
  uri: string,
  options?: WebSocketClient.ConnectOptions,
  connector: NodeConnector.ConnectorOptions = {}
) =>
  Effect.provide(
    WebSocketClient.connect(uri, options),
    WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layerWith(connector)))
  )

export const echo = (connection: Connection.Connection) =>
  Connection.runForEach(connection, (message) => connection.send(message))

/** What an Option holds; a test fails without. */
export const some = <A>(option: Option.Option<A>): A => (option._tag === "Some" ? option.value : assert.fail("None"))
