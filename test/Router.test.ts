import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, FastCheck as fc, Layer, Logger, Ref, Schema } from "effect"
import {
  type Connection,
  type HandshakeError,
  Router,
  Transport,
  WebSocketClient,
  type WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"

/** The router in memory: which handler a path has, and what is answered where there is none. */

const tell = (text: string) => (connection: Connection.Connection) => connection.send(text)

const page = (text: string) => () => Effect.succeed(HttpServerResponse.text(text))

class User extends Context.Tag("test/User")<User, string>() {}

/** A server of these routes, how a WebSocket is asked for there, and how anything else is. */
const serving = <R>(
  router: Router.Router<R>,
  options: Router.RouterSettings & WebSocketServer.ServerOptions<never, never, never> = {}
) =>
  Effect.gen(function* () {
    const network = yield* Layer.build(Testing.layer)
    const services = Layer.succeedContext(network)
    yield* Layer.build(Layer.provide(Router.layer(router, options), services))
    const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
    const connector = Context.get(network, Transport.Connector)
    // A redirect is an answer here.
    const connect = (target: string) =>
      Effect.provide(WebSocketClient.connect(`ws://memory${target}`, { maxRedirects: 0 }), client)
    const ask = (target: string, method = "GET") =>
      Effect.map(
        Effect.scoped(
          connector.exchange(
            { secure: false, hostname: "memory", port: 80 },
            { method, target, version: "1.1", headers: [["Host", "memory"]] }
          )
        ),
        (reply) => {
          if (reply._tag !== "Answered") return assert.fail("it has switched")
          const { status, headers } = reply.response
          return { status, headers: new Map(headers), body: new TextDecoder().decode(reply.body) }
        }
      )
    return {
      ask,
      told: (target: string) => Effect.scoped(Effect.flatMap(connect(target), ({ receive }) => receive)),
      refused: (target: string) =>
        Effect.map(Effect.flip(connect(target)), (error) => {
          const { reason } = error as HandshakeError
          if (reason?._tag !== "Rejected") return assert.fail(String(error))
          const { status, headers } = reason.response
          return { status, headers: new Map(headers), body: new TextDecoder().decode(reason.body) }
        })
    }
  })

describe("a path", () => {
  const say = (connection: Connection.Connection, params: object) => connection.send(JSON.stringify(params))
  const router = Router.make(
    Router.websocket("/", tell("root")),
    Router.websocket("/chat", tell("chat")),
    Router.websocket("/chat/:room", say),
    Router.websocket("/chat/:room/users/:user", say),
    Router.websocket("/files/*", say),
    Router.websocket("/item/:id(^\\d+$)", say),
    Router.websocket("/item/:name", say),
    Router.websocket("/maybe/:it?", say)
  )

  const cases: ReadonlyArray<readonly [string, string | object]> = [
    ["/", "root"],
    ["/?a=b", "root"],
    ["/chat", "chat"],
    ["/chat/", "chat"],
    ["//chat", "chat"],
    ["/CHAT", "chat"],
    ["/chat/green", { room: "green" }],
    ["/chat/Gr%C3%BCn%2Fblau?x=y", { room: "Grün/blau" }],
    ["/chat/green/users/7", { room: "green", user: "7" }],
    ["/files/a/b.txt", { "*": "a/b.txt" }],
    ["/item/12", { id: "12" }],
    ["/item/twelve", { name: "twelve" }],
    ["/maybe/this", { it: "this" }],
    ["/maybe", {}]
  ]
  it.scoped.each(cases)("H9: %s has its handler, which gets its parameters", ([target, expected]) =>
    Effect.gen(function* () {
      const { told } = yield* serving(router)
      const said = yield* told(target)
      assert.deepStrictEqual(typeof expected === "string" ? said : JSON.parse(String(said)), expected)
    })
  )

  it.scoped.each([
    "/none",
    "/chat/green/users",
    "/item/",
    `/chat/${"x".repeat(101)}`,
    "/chat/%ff",
    "/chat/%2",
    "/__proto__"
  ])("H9: %s is nowhere: 404 for both kinds of requests", (target) =>
    Effect.gen(function* () {
      const { ask, refused } = yield* serving(router)
      const answer = yield* refused(target)
      assert.deepStrictEqual([answer.status, answer.body], [404, "There is nothing at this path.\n"])
      assert.strictEqual((yield* ask(target)).status, 404)
    })
  )

  it.scoped("H9: is matched as the settings say", () =>
    Effect.gen(function* () {
      const { told, refused } = yield* serving(router, {
        caseSensitive: true,
        ignoreTrailingSlash: false,
        ignoreDuplicateSlashes: false,
        maxParamLength: 3
      })
      assert.strictEqual(yield* told("/chat/abc"), '{"room":"abc"}')
      for (const target of ["/CHAT", "//chat", "/chat/abcd", "/chat/a/users/b/"]) {
        assert.strictEqual((yield* refused(target)).status, 404, target)
      }
    })
  )

  it.scoped("H9: whatever it is, and whatever the method, is an answer and no failure of ours", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(Router.make(...router.routes, Router.get("/page/:a-:b", page("page"))))
      const targets = fc.sample(
        fc.array(
          fc.constantFrom(
            "/",
            "chat",
            "files",
            "page",
            "a-b",
            "%",
            "%2",
            "%2f",
            "%ff",
            "%00",
            ":",
            "*",
            "?",
            "#",
            ";",
            "..",
            "é",
            "\u0130"
          ),
          { maxLength: 8 }
        ),
        { numRuns: 500, seed: 1 }
      )
      for (const target of targets) {
        const { status } = yield* ask(`/${target.join("")}`)
        assert.include([200, 404, 426], status, target.join(""))
      }
      for (const method of ["constructor", "__proto__", "toString"]) {
        assert.strictEqual((yield* ask("/page/a-b", method)).status, 405)
      }
      assert.strictEqual((yield* ask("/page/a-b", "(websocket)")).status, 400)
    })
  )

  const defectOf = (router: Router.Router<never>) =>
    Effect.gen(function* () {
      const layer = Router.layer(router).pipe(Layer.provide(Testing.layer))
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
      return Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "none"
    })

  it.effect("H9: that stands there twice is a defect that names it", () =>
    Effect.gen(function* () {
      const twice = Router.make(Router.websocket("/a/:b", tell("x")), Router.websocket("/a/:b", tell("y")))
      assert.include(yield* defectOf(twice), "already declared for route '/a/:")
    })
  )

  it.effect.each(["/:kind(^(a|b)$)", "/x/:a(^(?<n>a)$)", "/:a(^\\(?(a)$)-:b"] as const)(
    "H9: %s, whose pattern captures, is a defect that says what to write",
    (path) =>
      Effect.map(defectOf(Router.make(Router.websocket(path, tell("x")))), (defect) =>
        assert.include(defect, `${path} has a group in a parameter's pattern that captures`)
      )
  )

  it.scoped("H9: a pattern may have groups that do not capture, and parentheses that are none", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(
        Router.make(Router.get("/:kind(^(?:a|b)$)", page("kind")), Router.get("/x/:a(^\\(\\($)", page("x")))
      )
      const statuses = yield* Effect.forEach(["/a", "/b", "/c", "/x/((", "/x/("], (target) => ask(target))
      assert.deepStrictEqual(
        statuses.map(({ status }) => status),
        [200, 200, 404, 200, 404]
      )
    })
  )
})

describe("parameters", () => {
  const Seat = Schema.Struct({ room: Schema.NonEmptyString, seat: Schema.NumberFromString.pipe(Schema.int()) })
  const router = Router.make(
    Router.websocket("/:room/:seat", { params: Seat }, (connection, { room, seat }) =>
      connection.send(`${room} ${seat + 1}`)
    ),
    Router.get("/page/:seat/:room", { params: Seat }, (_, { room, seat }) => page(`${room} ${seat + 1}`)())
  )

  it.scoped("H9: are decoded by their schema, for the handlers of both kinds", () =>
    Effect.gen(function* () {
      const { ask, told } = yield* serving(router)
      assert.strictEqual(yield* told("/green/41"), "green 42")
      assert.strictEqual((yield* ask("/page/41/green")).body, "green 42")
    })
  )

  it.scoped("H9: that do not decode are 400, with their names and nothing else of the schema", () =>
    Effect.gen(function* () {
      const { ask, refused } = yield* serving(router)
      for (const seat of ["x", "1.5", "1e99999"]) {
        const answer = yield* refused(`/green/${seat}`)
        assert.deepStrictEqual([answer.status, answer.body], [400, "Not valid in this path: seat. Check the URL.\n"])
      }
      assert.strictEqual((yield* ask("/page/x/green")).status, 400)
    })
  )

  it.scoped("H9: that do not fit together are 400 too", () =>
    Effect.gen(function* () {
      const params = Seat.pipe(Schema.filter(({ room, seat }) => room.length === seat))
      const { refused, told } = yield* serving(
        Router.make(Router.websocket("/:room/:seat", { params }, (connection, { room }) => connection.send(room)))
      )
      assert.strictEqual(yield* told("/green/5"), "green")
      assert.strictEqual(
        (yield* refused("/green/6")).body,
        "Not valid in this path: its parameters together. Check the URL.\n"
      )
    })
  )

  it.scoped("H9: are decoded by a schema that needs services", () =>
    Effect.gen(function* () {
      class Rooms extends Context.Tag("test/Rooms")<Rooms, ReadonlyArray<string>>() {}
      const Known = Schema.transformOrFail(Schema.String, Schema.Number, {
        decode: (name) => Effect.map(Rooms, (rooms) => rooms.indexOf(name)),
        encode: (_, __, ast) => Effect.die(ast)
      })
      const { told } = yield* Effect.provideService(
        serving(
          Router.make(
            Router.websocket("/:room", { params: Schema.Struct({ room: Known }) }, (connection, { room }) =>
              connection.send(String(room))
            )
          )
        ),
        Rooms,
        ["red", "green"]
      )
      assert.strictEqual(yield* told("/green"), "1")
    })
  )
})

describe("methods", () => {
  const router = Router.make(
    Router.websocket("/both", tell("socket")),
    Router.get("/both", page("page")),
    Router.websocket("/socket", tell("socket")),
    Router.get("/page", page("page")),
    Router.http("POST")("/page", page("posted")),
    Router.http("DELETE")("/gone", page("deleted"))
  )

  it.scoped("H9: a path may have a WebSocket and a page", () =>
    Effect.gen(function* () {
      const { ask, told } = yield* serving(router)
      assert.strictEqual(yield* told("/both"), "socket")
      assert.strictEqual((yield* ask("/both")).body, "page")
      assert.strictEqual((yield* ask("/page", "POST")).body, "posted")
      const head = yield* ask("/both", "HEAD")
      assert.deepStrictEqual([head.status, head.body, head.headers.get("content-length")], [200, "", "4"])
    })
  )

  it.scoped("H9: one that a path does not have is 405 with those that it has", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(router)
      const answers: ReadonlyArray<readonly [string, string, string]> = [
        ["/page", "PUT", "GET, HEAD, POST"],
        ["/gone", "GET", "DELETE"],
        ["/both", "POST", "GET, HEAD"],
        ["/socket", "POST", "GET"]
      ]
      for (const [target, method, allow] of answers) {
        const { status, headers, body } = yield* ask(target, method)
        assert.deepStrictEqual([status, headers.get("allow")], [405, allow], target)
        assert.strictEqual(body, `This path is not for ${method}, but for ${allow}.\n`)
      }
    })
  )

  it.scoped("H9: a plain GET where only a WebSocket is gets 426, and a WebSocket where only a page is 404", () =>
    Effect.gen(function* () {
      const { ask, refused } = yield* serving(router)
      const { status, headers } = yield* ask("/socket")
      assert.deepStrictEqual([status, headers.get("Upgrade")], [426, "websocket"])
      const answer = yield* refused("/page")
      assert.deepStrictEqual([answer.status, answer.body], [404, "There is no WebSocket at this path.\n"])
    })
  )
})

describe("a redirect", () => {
  it.scoped("H9: says where to, with its status, for both kinds", () =>
    Effect.gen(function* () {
      const { ask, refused } = yield* serving(
        Router.make(
          Router.redirect("/old", "/new"),
          Router.redirect("/rooms/:room", ({ room }) => `/chat/${room}`, { status: 308 })
        )
      )
      for (const answer of [yield* ask("/old"), yield* refused("/old")]) {
        assert.deepStrictEqual([answer.status, answer.headers.get("location")], [307, "/new"])
      }
      const { status, headers } = yield* refused("/rooms/a%2Fb")
      assert.deepStrictEqual([status, headers.get("location")], [308, "/chat/a%2Fb"])
    })
  )

  it.scoped("H9: leads to no other host and splits no answer, whatever its parameters are", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(
        Router.make(
          Router.redirect("/docs/*", (params) => `/${params["*"]}`),
          Router.redirect("/to/:to", ({ to }) => to),
          Router.redirect("/both/:one/:two", ({ one, two }) => `/${one}/${two}`),
          Router.redirect("/maybe/:one?", ({ one }) => `/${one ?? "none"}`)
        ),
        { ignoreDuplicateSlashes: false }
      )
      const cases = {
        "/docs/%2Fevil.example": "/%2Fevil.example",
        "/docs//evil.example": "/%2Fevil.example",
        "/docs/%2f%2Fevil.example": "/%2F%2Fevil.example",
        "/docs/%5Cevil.example": "/%5Cevil.example",
        "/docs/caf%C3%A9/a%20b%3Fc%23d": "/caf%C3%A9/a%20b%3Fc%23d",
        "/docs/%2500": "/%2500",
        "/to/https%3A%2F%2Fevil.example": "https%3A%2F%2Fevil.example",
        "/to/a%0d%0aX-Y:%20z": "a%0D%0AX-Y%3A%20z",
        "/both//evil.example": "/evil.example",
        "/both/a/b": "/a/b",
        "/maybe/%E2%9C%93": "/%E2%9C%93",
        "/maybe": "/none"
      }
      for (const [target, location] of Object.entries(cases)) {
        const { status, headers } = yield* ask(target)
        assert.deepStrictEqual([target, status, headers.get("location")], [target, 307, location])
      }
    })
  )

  it.scoped("H9: to what HTTP cannot carry is 500", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(Router.make(Router.redirect("/a", "/b\r\nX-Y: z"), Router.redirect("/b", "/✓")))
      for (const target of ["/a", "/b"]) {
        const { status, headers } = yield* ask(target)
        assert.deepStrictEqual([status, headers.has("location")], [500, false])
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
})

describe("hooks", () => {
  it.scoped("H9: a route's own gets the parameters and gives its handler services, or answers", () =>
    Effect.gen(function* () {
      const onRequest = (_: unknown, { name }: { readonly name: string }) =>
        name === "eve"
          ? Effect.fail(HttpServerResponse.text("no", { status: 403 }))
          : Effect.succeed(Context.make(User, name))
      const { ask, refused, told } = yield* serving(
        Router.make(
          Router.websocket("/:name", { onRequest }, (connection) => Effect.flatMap(User, connection.send)),
          Router.get("/page/:name", { onRequest }, () => Effect.map(User, (name) => HttpServerResponse.text(name)))
        )
      )
      assert.strictEqual(yield* told("/ada"), "ada")
      assert.strictEqual((yield* refused("/eve")).status, 403)
      assert.strictEqual((yield* ask("/page/ada")).body, "ada")
      assert.strictEqual((yield* ask("/page/eve")).status, 403)
    })
  )

  it.scoped("H9: the server's runs before any route, gives services to all, and may answer", () =>
    Effect.gen(function* () {
      const network = yield* Layer.build(Testing.layer)
      const services = Layer.succeedContext(network)
      const asked = yield* Ref.make<ReadonlyArray<string>>([])
      const layer = Router.layer(
        Router.make(
          Router.websocket(
            "/chat",
            { onRequest: () => Effect.flatMap(User, (name) => Ref.update(asked, (all) => [...all, name])) },
            (connection) => Effect.flatMap(User, connection.send)
          )
        ),
        {
          onRequest: ({ url }) =>
            url === "/closed"
              ? Effect.fail(HttpServerResponse.empty({ status: 410 }))
              : Effect.succeed(Context.make(User, "ada"))
        }
      )
      yield* Layer.build(Layer.provide(layer, services))
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, services))
      const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory/chat"), client)
      assert.strictEqual(yield* connection.receive, "ada")
      assert.deepStrictEqual(yield* Ref.get(asked), ["ada"])
      const error = yield* Effect.flip(Effect.provide(WebSocketClient.connect("ws://memory/closed"), client))
      assert.include(error.message, "status 410")
    })
  )

  it.scoped("H9: a page's failure with a response is the answer, its death 500", () =>
    Effect.gen(function* () {
      const { ask } = yield* serving(
        Router.make(
          Router.get("/fails", () => Effect.fail(HttpServerResponse.text("no", { status: 409 }))),
          Router.get("/dies", () => Effect.die("a bug"))
        )
      )
      assert.strictEqual((yield* ask("/fails")).status, 409)
      assert.strictEqual((yield* ask("/dies")).status, 500)
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )
})
