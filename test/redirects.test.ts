import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Ref, TestClock } from "effect"
import { type HandshakeError, type Transport, WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { type Asked, answered, asking, uriOf } from "./support/connector.js"
import { settle } from "./support.js"

const refusal = (error: WebSocketClient.ConnectError): HandshakeError["reason"] =>
  error._tag === "HandshakeError" ? error.reason : assert.fail(`${error}`)

const to = (location: string, status = 302) => answered(status, [["Location", location]])

/** Answers with one redirect after the other, and in the end with 404. */
const leading = (...locations: ReadonlyArray<string>) => {
  let next = 0
  return asking(() => {
    const location = locations[next++]
    return location === undefined ? answered(404, []) : to(location)
  })
}

/** Where a client that starts there is led by these. */
const path = (start: string, ...locations: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { asked, connect } = yield* leading(...locations)
    const error = yield* Effect.flip(connect(start))
    return { error, asked, uris: asked.map(uriOf) }
  })

const valuesOf = ([, { headers }]: Asked, name: string) =>
  headers.filter((header) => header[0].toLowerCase() === name).map(([, value]) => value)

describe("a redirect", () => {
  it.scoped.each([301, 302, 303, 307, 308])("C4: with %i is followed", (status) =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking((_, { target }) =>
        target === "/" ? to("/next", status) : answered(404, [])
      )
      const error = yield* Effect.flip(connect("ws://one.example"))
      assert.deepStrictEqual(asked.map(uriOf), ["ws://one.example:80/", "ws://one.example:80/next"])
      assert.strictEqual(
        error.message,
        "cannot open a WebSocket to ws://one.example/next (redirected from ws://one.example/): the server answered with status 404. Check the URI's path."
      )
    })
  )

  it.scoped.each([200, 300, 304, 305, 399])("C4: is not what a Location with %i is", (status) =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(() => to("/next", status))
      assert.strictEqual(refusal(yield* Effect.flip(connect("ws://one.example")))._tag, "Rejected")
      assert.lengthOf(asked, 1)
    })
  )

  const locations: ReadonlyArray<readonly [location: string, led: string]> = [
    ["/a/b?c", "ws://one.example:80/a/b?c"],
    ["b", "ws://one.example:80/x/b"],
    ["../b", "ws://one.example:80/b"],
    ["?d", "ws://one.example:80/x/y?d"],
    ["//two.example/z", "ws://two.example:80/z"],
    ["ws://two.example:81", "ws://two.example:81/"],
    ["wss://two.example/z", "wss://two.example:443/z"],
    ["http://two.example/z", "ws://two.example:80/z"],
    ["HTTPS://TWO.example/z", "wss://two.example:443/z"],
    ["/z#part", "ws://one.example:80/z"],
    ["ws://eve:secret@two.example/", "ws://two.example:80/"],
    ["/a b", "ws://one.example:80/a%20b"],
    // As node hands over a header: one character for each byte.
    [Buffer.from("/ü").toString("latin1"), "ws://one.example:80/%C3%BC"],
    ["/\u00fc", "ws://one.example:80/%C3%BC"]
  ]
  it.scoped.each(locations)("C4: to %s leads from ws://one.example/x/y?q to %s", ([location, led]) =>
    Effect.gen(function* () {
      const { uris, asked } = yield* path("ws://one.example/x/y?q", location)
      assert.deepStrictEqual(uris[1], led)
      assert.deepStrictEqual(
        asked[1]?.map((part) => JSON.stringify(part)).filter((part) => part.includes("secret")),
        []
      )
    })
  )

  const malformed: ReadonlyArray<readonly [name: string, headers: Transport.HeaderList, problem: string]> = [
    ["without a Location", [], "says not where to: the answer has no Location"],
    [
      "with two",
      [
        ["Location", "/a"],
        ["location", "/b"]
      ],
      "says not where to: the answer has more than one Location"
    ],
    ["to no URI", [["Location", "ws://"]], "its Location cannot be followed: it is no URI"],
    [
      "to another scheme",
      [["Location", "ftp://one.example/"]],
      "its Location cannot be followed: its scheme is ftp, not ws or wss"
    ],
    [
      "to a script",
      [["Location", "javascript:alert(1)"]],
      "its Location cannot be followed: its scheme is javascript, not ws or wss"
    ]
  ]
  it.scoped.each(malformed)("C4: %s is InvalidRedirect", ([, headers, problem]) =>
    Effect.gen(function* () {
      const { asked, connect } = yield* asking(() => answered(302, headers, "Over there"))
      const error = yield* Effect.flip(connect("ws://one.example"))
      const reason = refusal(error)
      if (reason._tag !== "InvalidRedirect") return assert.fail(reason._tag)
      assert.strictEqual(reason.problem, problem)
      assert.strictEqual(reason.response.status, 302)
      assert.strictEqual(new TextDecoder().decode(reason.body), "Over there")
      assert.include(error.message, `the server redirects (302), but ${problem}`)
      assert.lengthOf(asked, 1)
    })
  )

  it.scoped.each(["ws://one.example/", "http://one.example/", "ws://two.example/"])(
    "C4: from wss to %s is refused",
    (location) =>
      Effect.gen(function* () {
        const { error, uris } = yield* path("wss://one.example", location)
        assert.strictEqual(refusal(error)._tag, "InsecureRedirect")
        assert.include(error.message, `the server redirects to ${location.replace("http", "ws")}, without`)
        assert.lengthOf(uris, 1)
      })
  )

  it.scoped("C4: to where it was before is RedirectLoop", () =>
    Effect.gen(function* () {
      const itself = yield* path("ws://one.example/a?b", "?b")
      assert.strictEqual(refusal(itself.error)._tag, "RedirectLoop")
      const around = yield* path("ws://one.example", "/a", "ws://two.example", "ws://one.example/a")
      assert.strictEqual(refusal(around.error)._tag, "RedirectLoop")
      assert.include(around.error.message, "redirects to ws://one.example/a, where we have been before")
      assert.lengthOf(around.uris, 3)
    })
  )

  const limits: ReadonlyArray<readonly [maxRedirects: number | undefined, redirects: number, outcome: string]> = [
    [undefined, 10, "Rejected"],
    [undefined, 11, "TooManyRedirects"],
    [2, 2, "Rejected"],
    [2, 3, "TooManyRedirects"],
    [Number.POSITIVE_INFINITY, 30, "Rejected"]
  ]
  it.scoped.each(limits)("C4: with maxRedirects %s, %i of them end in %s", ([maxRedirects, redirects, outcome]) =>
    Effect.gen(function* () {
      const { asked, connect } = yield* leading(...Array.from({ length: redirects }, (_, i) => `/${i}`))
      const error = yield* Effect.flip(connect("ws://one.example", { maxRedirects }))
      assert.strictEqual(refusal(error)._tag, outcome)
      assert.lengthOf(asked, outcome === "Rejected" ? redirects + 1 : redirects)
    })
  )

  it.scoped("C4: with maxRedirects 0 is an answer like any other", () =>
    Effect.gen(function* () {
      const { connect } = yield* asking(() => answered(302, [["Location", "/next"]], "Over there"))
      const error = yield* Effect.flip(connect("ws://one.example", { maxRedirects: 0 }))
      const reason = refusal(error)
      if (reason._tag !== "Rejected") return assert.fail(reason._tag)
      assert.deepInclude(reason.response.headers, ["Location", "/next"])
      assert.include(error.message, "status 302: Over there")
    })
  )

  it.scoped("C4: asks with a key of its own, and for the host that it leads to", () =>
    Effect.gen(function* () {
      const { asked } = yield* path("ws://one.example", "ws://two.example:81/")
      assert.deepStrictEqual(
        asked.map((each) => valuesOf(each, "host")),
        [["one.example"], ["two.example:81"]]
      )
      assert.lengthOf(new Set(asked.flatMap((each) => valuesOf(each, "sec-websocket-key"))), 2)
    })
  )
})

describe("credentials", () => {
  const headers = {
    Authorization: "Bearer x",
    cookie: "a=b",
    "X-Key": Redacted.make("k"),
    "X-Keys": ["1", Redacted.make("2")],
    "X-Other": ["y", "z"]
  }

  it.scoped("C4: stay with redirects inside an origin", () =>
    Effect.gen(function* () {
      const { asked, connect } = yield* leading("/a", "ws://one.example:80/b", "http://one.example/c")
      yield* Effect.flip(connect("ws://one.example", { headers }))
      assert.lengthOf(asked, 4)
      for (const each of asked) {
        assert.deepStrictEqual(valuesOf(each, "authorization"), ["Bearer x"])
        assert.deepStrictEqual(valuesOf(each, "cookie"), ["a=b"])
        assert.deepStrictEqual([valuesOf(each, "x-key"), valuesOf(each, "x-keys")], [["k"], ["1", "2"]])
        assert.strictEqual(each[0].isForeign, false)
      }
      const { asked: named } = yield* path("ws://ada:secret@one.example", "/a", "//one.example/b")
      assert.deepStrictEqual(
        named.map((each) => valuesOf(each, "authorization")),
        Array.from({ length: 3 }, () => [`Basic ${btoa("ada:secret")}`])
      )
    })
  )

  it.scoped.each(["ws://two.example/", "ws://sub.one.example/", "ws://one.example:81/", "wss://one.example/"])(
    "C4: go not along to %s, nor back",
    (elsewhere) =>
      Effect.gen(function* () {
        const locations = [elsewhere, "/more", elsewhere.startsWith("wss") ? "/again" : "ws://one.example/back"]
        const { asked, connect } = yield* leading(...locations)
        yield* Effect.flip(connect("ws://one.example", { headers, origin: "https://page.example" }))
        assert.lengthOf(asked, 4)
        for (const each of asked.slice(1)) {
          for (const name of ["authorization", "cookie", "x-key", "x-keys"]) {
            assert.isEmpty(valuesOf(each, name))
          }
          assert.deepStrictEqual(valuesOf(each, "x-other"), ["y", "z"])
          assert.deepStrictEqual(valuesOf(each, "origin"), ["https://page.example"])
          assert.strictEqual(each[0].isForeign, true)
        }
        const named = yield* path("ws://ada:secret@one.example", ...locations)
        assert.lengthOf(
          named.asked.filter((each) => valuesOf(each, "authorization").length > 0),
          1
        )
      })
  )

  it.scoped("C4: go not along to the same host and port when TLS is new there, which is no loop either", () =>
    Effect.gen(function* () {
      const { asked, uris } = yield* path("ws://ada:secret@one.example:443", "wss://one.example")
      assert.deepStrictEqual(uris, ["ws://one.example:443/", "wss://one.example:443/"])
      assert.deepStrictEqual(
        asked.map((each) => valuesOf(each, "authorization").length),
        [1, 0]
      )
    })
  )

  it.scoped("C4: and queries stay out of what errors say", () =>
    Effect.gen(function* () {
      const { error } = yield* path("ws://ada:secret@one.example/?secret", "ws://eve:secret@two.example/?secret")
      const insecure = yield* path("wss://one.example", "ws://eve:secret@two.example/?secret")
      assert.notInclude(error.message, "secret")
      assert.notInclude(insecure.error.message, "secret")
      assert.include(error.message, "ws://two.example/ (redirected from ws://one.example/)")
    })
  )
})

describe("a redirect's transport", () => {
  /** Redirects that take their time, and how many transports are held. */
  const slow = (milliseconds: number) =>
    Effect.gen(function* () {
      const held = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const hold = Effect.acquireRelease(
        Effect.tap(
          Ref.updateAndGet(held, (n) => n + 1),
          (n) => Ref.update(most, (m) => Math.max(m, n))
        ),
        () => Ref.update(held, (n) => n - 1)
      )
      let next = 0
      const { asked, connect } = yield* asking(() =>
        hold.pipe(Effect.zipRight(Effect.sleep(milliseconds)), Effect.zipRight(Effect.suspend(() => to(`/${++next}`))))
      )
      return { asked, connect, held: Ref.get(held), most: Ref.get(most) }
    })

  it.scoped("C4: is gone before the next is there", () =>
    Effect.gen(function* () {
      const { connect, held, most } = yield* slow(0)
      const connecting = yield* Effect.fork(Effect.flip(connect("ws://one.example")))
      yield* settle
      yield* TestClock.adjust(0)
      assert.strictEqual(refusal(yield* Fiber.join(connecting))._tag, "TooManyRedirects")
      assert.deepStrictEqual([yield* held, yield* most], [0, 1])
    })
  )

  it.scoped("C6: has what openTimeout has left: there is one for all redirects", () =>
    Effect.gen(function* () {
      const { asked, connect, held } = yield* slow(4_000)
      const connecting = yield* Effect.fork(Effect.flip(connect("ws://one.example")))
      yield* settle
      yield* TestClock.adjust("9999 millis")
      assert.isNull(connecting.unsafePoll())
      assert.strictEqual(yield* held, 1)
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(connecting)
      assert.deepStrictEqual(refusal(error), { _tag: "Timeout", milliseconds: 10_000 })
      assert.include(
        error.message,
        "ws://one.example/2 (redirected from ws://one.example/): not open after openTimeout"
      )
      assert.lengthOf(asked, 3)
      assert.strictEqual(yield* held, 0)
    })
  )

  it.scoped("C4: is gone when connecting is interrupted on the way", () =>
    Effect.gen(function* () {
      const { asked, connect, held } = yield* slow(1_000)
      const connecting = yield* Effect.fork(connect("ws://one.example"))
      yield* settle
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual([asked.length, yield* held], [2, 1])
      yield* Fiber.interrupt(connecting)
      assert.strictEqual(yield* held, 0)
    })
  )
})

it.scoped("C4: a server of ours redirects with its request hook, and is found", () =>
  Effect.gen(function* () {
    const server = WebSocketServer.layer((connection) => connection.send(connection.handshake.request.target), {
      onRequest: ({ url }) =>
        Effect.succeed(url === "/old" ? HttpServerResponse.redirect("/new?a", { status: 308 }) : undefined)
    })
    const layer = Layer.merge(server, WebSocketClient.layer).pipe(Layer.provide(Testing.layer))
    const connection = yield* Effect.provide(WebSocketClient.connect("ws://memory/old"), yield* Layer.build(layer))
    assert.strictEqual(yield* connection.receiveText, "/new?a")
    assert.strictEqual(connection.handshake.request.target, "/new?a")
  })
)
