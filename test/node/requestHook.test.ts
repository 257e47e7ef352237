import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Scope, Stream } from "effect"
import type { WebSocketServer } from "effect-websockets"
import { ask, connect, echo, frame, leavesNothing, rawConnect, requestText, serve, turns } from "./support.js"

class User extends Context.Tag("User")<User, string>() {}

const greet = Effect.flatMap(User, (name) => Effect.succeed(`Hello ${name}!`))

describe("H6: the request hook", () => {
  const pages: WebSocketServer.ServerOptions<User> = {
    onRequest: (request) => {
      switch (request.url) {
        case "/healthz":
          return Effect.succeed(HttpServerResponse.text("OK\n"))
        case "/page":
          return Effect.succeed(HttpServerResponse.html("<p>page</p>").pipe(HttpServerResponse.setHeader("X-A", "b")))
        case "/stream":
          return Effect.succeed(HttpServerResponse.stream(Stream.make("a", "b").pipe(Stream.encodeText)))
        case "/cookies":
          return Effect.orDie(
            HttpServerResponse.setCookies(HttpServerResponse.empty(), [
              ["a", "1", {}],
              ["b", "2", {}]
            ])
          )
        case "/forbidden":
          return Effect.fail(HttpServerResponse.text("No.\n", { status: 403 }))
        case "/dies":
          return Effect.die("a bug")
        case "/split":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x-a": "b\r\nx-c: d" } }))
        case "/latin":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x-a": "✓" } }))
        case "/name":
          return Effect.succeed(HttpServerResponse.text("x", { headers: { "x a": "b" } }))
        case "/status":
          return Effect.succeed(HttpServerResponse.text("x", { status: 1_000 }))
        default:
          return Effect.succeed(Context.make(User, request.url.slice(1)))
      }
    }
  }

  const server = serve((connection) => Effect.flatMap(greet, (text) => connection.send(text)), pages)

  const get = (path: string, method = "GET") =>
    Effect.flatMap(server, ({ port }) =>
      ask(port, `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    )

  it.live("answers requests for health and pages", () =>
    leavesNothing(
      Effect.gen(function* () {
        const health = yield* get("/healthz")
        assert.deepStrictEqual([health.status, health.body], [200, "OK\n"])
        const page = yield* get("/page")
        assert.deepStrictEqual([page.status, page.body], [200, "<p>page</p>"])
        assert.match(page.head, /^content-type: text\/html/im)
        assert.match(page.head, /^x-a: b\r$/im)
        assert.strictEqual((yield* get("/stream")).body, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        assert.match((yield* get("/cookies")).head, /set-cookie: a=1\r\nset-cookie: b=2\r\n/i)
      })
    )
  )

  it.live("answers HEAD with the head alone", () =>
    leavesNothing(
      Effect.gen(function* () {
        const page = yield* get("/page", "HEAD")
        assert.deepStrictEqual([page.status, page.body], [200, ""])
        assert.match(page.head, /^content-length: 11\r$/im)
      })
    )
  )

  it.live("answers several requests on one connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const peer = yield* rawConnect((yield* server).port)
        yield* peer.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2))
        for (let i = 0; i < 2; i++) {
          assert.match(yield* peer.head, /^HTTP\/1\.1 200 /)
          assert.strictEqual((yield* peer.take(3)).toString(), "OK\n")
        }
        yield* peer.write(requestText("GET /World HTTP/1.1"))
        assert.match(yield* peer.head, /^HTTP\/1\.1 101 /)
      })
    )
  )

  it.live("gives the handler what it knows of the connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* server
        for (const name of ["one", "two"]) {
          const connection = yield* connect(`ws://127.0.0.1:${port}/${name}`)
          assert.strictEqual(yield* connection.receive, `Hello ${name}!`)
        }
      })
    )
  )

  it.live.each(["upgrade", "page"])("H2: refuses by failing, and is a 500 when it dies, asked for a %s", (what) =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* server
        const text = (path: string) =>
          what === "upgrade"
            ? requestText(`GET ${path} HTTP/1.1`)
            : `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
        const forbidden = yield* ask(port, text("/forbidden"))
        assert.deepStrictEqual([forbidden.status, forbidden.body], [403, "No.\n"])
        const dead = yield* ask(port, text("/dies"))
        assert.deepStrictEqual([dead.status, dead.body], [500, "The server could not handle this request.\n"])
        for (const path of ["/split", "/latin", "/name", "/status"]) {
          const broken = yield* ask(port, text(path))
          assert.strictEqual(broken.status, 500, path)
          assert.notInclude(broken.head, "x-c")
        }
        assert.strictEqual((yield* ask(port, text("/healthz"))).status, 200)
      })
    )
  )

  it.live("is interrupted when its peer leaves, or the server stops, and releases what it has", () =>
    leavesNothing(
      Effect.gen(function* () {
        for (const text of [requestText(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"]) {
          for (const how of ["leave", "end", "stop"]) {
            // A plain request's peer may end its side and still wait for the answer.
            if (how === "end" && text !== requestText()) continue
            const begun = yield* Deferred.make<void>()
            const released = yield* Deferred.make<void>()
            const hook = Effect.zipRight(
              Effect.addFinalizer(() => Deferred.succeed(released, undefined)),
              Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
            )
            const scope = yield* Scope.make()
            const { port } = yield* Scope.extend(serve(echo, { onRequest: () => hook }), scope)
            const peer = yield* rawConnect(port)
            yield* peer.write(text)
            yield* Deferred.await(begun)
            if (how === "leave") yield* peer.reset
            else if (how === "end") peer.socket.end()
            else {
              yield* Scope.close(scope, Exit.void)
              assert.match(yield* peer.head, /^HTTP\/1\.1 503 /)
              assert.match(String((yield* peer.rest).bytes), /^The server is stopping\. /)
            }
            yield* Deferred.await(released)
            yield* Scope.close(scope, Exit.void)
          }
        }
      })
    )
  )

  it.live("loses nothing of what comes while it decides", () =>
    leavesNothing(
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const decided = yield* Deferred.make<void>()
        const { port } = yield* serve(echo, {
          onRequest: () => Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(decided))
        })
        const peer = yield* rawConnect(port)
        const messages = Array.from({ length: 200 }, (_, i) => frame(2, Buffer.alloc(1000, i)))
        yield* peer.write(Buffer.concat([Buffer.from(requestText()), messages[0]!]))
        yield* Deferred.await(begun)
        for (const message of messages.slice(1)) yield* peer.write(message)
        yield* turns(20)
        yield* Deferred.succeed(decided, undefined)
        yield* peer.head
        const echoed = yield* peer.take(200 * 1004)
        for (let i = 0; i < 200; i++) assert.strictEqual(echoed[i * 1004 + 1003], i)
      })
    )
  )

  it.live("gets no answer of ours mixed into its own when the peer breaks off HTTP", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, {
          onRequest: () =>
            Effect.succeed(
              HttpServerResponse.stream(Stream.encodeText(Stream.concat(Stream.make("begun"), Stream.never)))
            )
        })
        const peer = yield* rawConnect(port)
        yield* peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        yield* peer.head
        yield* peer.take(10)
        yield* peer.write("hello\r\n\r\n")
        assert.strictEqual((yield* peer.rest).bytes.toString(), "")
      })
    )
  )

  it.live("H2: that takes longer than openTimeout costs a WebSocket 503", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo, { onRequest: () => Effect.never, openTimeout: "50 millis" })
        const { status, head, body } = yield* ask(port, requestText())
        assert.deepStrictEqual(
          [status, body],
          [503, "The server could not decide about this request in time. Try again later.\n"]
        )
        assert.match(head, /^Retry-After: 5\r$/im)
      })
    )
  )
})
