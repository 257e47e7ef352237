import { createServer } from "node:http"
import type { Duplex } from "node:stream"
import { HttpServerResponse } from "@effect/platform"
import { Deferred, Effect, Layer, Stream } from "effect"
import { Connection, Resume } from "effect-websockets"
import { NodeListener } from "effect-websockets/node"
import { echo, listening, serveOn } from "../node/support.js"

/** Our server as the scenarios need it: what it does is in the path. It serves a page too, and the program. */

const numbers = Array.from({ length: 10_000 }, (_, i) => String(i))

export const serving = (program: string) =>
  Effect.gen(function* () {
    /** How connections ended for the server, in its words. */
    const ends: Array<string> = []
    const released = yield* Deferred.make<void>()
    const asked = yield* Deferred.make<void>()
    const gone = yield* Deferred.make<void>()
    const cuttable: Array<Duplex> = []
    const cut = Effect.sync(() => {
      for (const socket of cuttable.splice(0)) socket.destroy()
    })
    const sessions = yield* Layer.build(Resume.layer())

    const resumable = Resume.handler((session) =>
      Connection.runForEach(session, (message) => (message === "cut" ? cut : session.send(message)))
    )

    const handlers: Readonly<Record<string, (connection: Connection.Connection) => Effect.Effect<unknown, unknown>>> = {
      "/echo": echo,
      "/close": (connection) => {
        const { searchParams } = new URL(connection.handshake.request.target, "http://server")
        const code = Number(searchParams.get("code"))
        return Effect.zipRight(
          connection.send("last"),
          connection.close({ code, reason: searchParams.get("reason") ?? "" })
        )
      },
      "/cut": (connection) =>
        Effect.gen(function* () {
          yield* connection.send("before")
          yield* connection.receive
          yield* cut
        }),
      "/resume": (connection) => Effect.provide(resumable(connection), sessions),
      // A port that was given to somebody who has left it.
      "/free": (connection) =>
        Effect.flatMap(Effect.scoped(listening(() => createServer())), ({ port }) =>
          Effect.zipRight(connection.send(String(port)), connection.closed)
        ),
      "/burst": (connection) => Effect.zipRight(connection.sendAll(numbers), connection.closed),
      "/sink": (connection) =>
        Effect.gen(function* () {
          yield* Deferred.await(released)
          const size = yield* connection.messages.pipe(
            Stream.takeWhile((message) => typeof message !== "string"),
            Stream.runFold(0, (sum, { length }) => sum + length)
          )
          yield* connection.send(String(size))
          yield* connection.closed
        }),
      "/release": () => Deferred.succeed(released, undefined),
      "/asked": (connection) =>
        Effect.gen(function* () {
          yield* Deferred.await(asked)
          yield* connection.send("asked")
          yield* Deferred.await(gone)
          yield* connection.send("gone")
          yield* connection.closed
        })
    }

    const { server, port } = yield* listening(() =>
      createServer(({ url }, response) => {
        const isProgram = url === "/program.js"
        response.setHeader("content-type", isProgram ? "text/javascript" : "text/html")
        response.end(isProgram ? program : "<!doctype html><title>A page</title>")
      })
    )
    server.on("upgrade", ({ url }, socket) => {
      if (url === "/cut" || url === "/resume") cuttable.push(socket)
      if (url !== "/never") return
      socket.on("close", () => Deferred.unsafeDone(gone, Effect.void))
      Deferred.unsafeDone(asked, Effect.void)
    })
    yield* serveOn(
      (connection) =>
        Effect.gen(function* () {
          const [path = ""] = connection.handshake.request.target.split("?")
          yield* Effect.ensuring(
            handlers[path]?.(connection) ?? Effect.void,
            Effect.fork(Effect.map(connection.closed, ({ message }) => ends.push(message)))
          )
        }),
      NodeListener.fromServer(server),
      {
        subprotocols: ["superchat", "chat", Resume.subprotocol],
        subprotocolOptional: true,
        onRequest: ({ url }) => {
          if (url === "/refused") return Effect.fail(HttpServerResponse.empty({ status: 403 }))
          return url === "/never" ? Effect.never : Effect.void
        }
      }
    )
    return { uri: `ws://127.0.0.1:${port}`, page: `http://127.0.0.1:${port}/`, ends }
  })
