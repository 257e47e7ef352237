import { assert } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import {
  type Connection,
  type ProxyError,
  Transport,
  TransportError,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { replacing, settle } from "./support.js"

/** What tests of clients that come back share: a network whose server comes and goes, and of which it is known when it was dialled. */

export const broken = (code: string | undefined, operation: TransportError["operation"] = "connect") =>
  new TransportError({ operation, peer: "memory", code, cause: new Error("broken") })

export const answer = (status: number, headers: Transport.HeaderList = []): Transport.Reply => ({
  _tag: "Answered",
  response: { status, headers },
  body: new Uint8Array(0)
})

type Attempt = Effect.Effect<Transport.Reply, TransportError | ProxyError, Scope.Scope>

/** A stream that breaks once so many bytes have gone over it, both ways counted together. */
const breaking = (stream: Transport.ByteStream, bytes: number): Transport.ByteStream => {
  let left = bytes
  const pass = (chunk: Uint8Array): Uint8Array => {
    const part = chunk.subarray(0, left)
    left -= part.length
    if (part.length < chunk.length) stream.destroy()
    return part
  }
  return replacing(stream, {
    attach: (sink) =>
      stream.attach({
        data: (chunk) => sink.data(pass(chunk)),
        end: () => sink.end(),
        drain: () => sink.drain(),
        closed: (error) => sink.closed(error)
      }),
    write: (chunk) => {
      if (chunk.length <= left) return stream.write(pass(chunk))
      const part = chunk.subarray(0, left)
      left = 0
      const result = stream.write(part)
      stream.destroy()
      return result
    }
  })
}

const quiet = Logger.remove(Logger.defaultLogger)

/** A network in memory. What is in `script` happens to the next attempts, the others reach the server if there is one. */
export const makeNetwork = Effect.gen(function* () {
  const memory = yield* Layer.build(Testing.layer)
  const { exchange } = Context.get(memory, Transport.Connector)
  const dialled: Array<number> = []
  const script: Array<Attempt> = []
  const breaks: Array<number> = []
  const client = yield* Layer.build(
    Layer.provide(
      WebSocketClient.layer,
      Layer.succeed(Transport.Connector, {
        exchange: (destination, request) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            dialled.push(now)
            return (
              script.shift() ??
              Effect.map(exchange(destination, request), (reply) => {
                const bytes = reply._tag === "Switched" ? breaks.shift() : undefined
                return reply._tag === "Switched" && bytes !== undefined
                  ? { ...reply, stream: breaking(reply.stream, bytes) }
                  : reply
              })
            )
          })
      })
    )
  )
  return {
    /** When there was an attempt, in milliseconds of the Clock. */
    dialled,
    script,
    /** After how many bytes the next connections break. */
    breaks,
    client,
    wires: Context.get(memory, Testing.Network).wires,
    /** Starts a server, and gives how to stop it. */
    serve: <A, E, R>(
      handler: (connection: Connection.Connection) => Effect.Effect<A, E, R>,
      options?: WebSocketServer.ServerOptions
    ) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
        const server = WebSocketServer.layer(handler, options).pipe(
          Layer.provide(Layer.succeedContext(memory)),
          Layer.provide(quiet)
        )
        yield* Layer.buildWithScope(server, scope)
        return Scope.close(scope, Exit.void)
      })
  }
})

/** What a program does that is watched while it runs. */
export const isRunning = (fiber: { readonly unsafePoll: () => unknown }): boolean => fiber.unsafePoll() === null

/** That what happens next happens after exactly so many milliseconds. */
export const happensAfter = (
  adjust: (milliseconds: number) => Effect.Effect<void>,
  milliseconds: number,
  hasHappened: () => boolean
): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* settle
    if (milliseconds > 0) {
      yield* adjust(milliseconds - 1)
      yield* settle
      assert.isFalse(hasHappened(), `not before ${milliseconds} ms`)
      yield* adjust(1)
      yield* settle
    }
    assert.isTrue(hasHappened(), `after ${milliseconds} ms`)
  })
