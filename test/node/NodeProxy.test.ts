import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Option, Redacted } from "effect"
import { NodeProxy } from "effect-websockets/node"
import { connectVia, httpProxy } from "./proxies.js"
import { echo, leavesNothing, serve } from "./support.js"

/** Which proxy a layer has for a URI's host and port, as a URI without its user. */
const selectedBy = (layer: Layer.Layer<never, unknown>, uri: string) =>
  Effect.gen(function* () {
    const { protocol, hostname, port } = new URL(uri)
    const secure = protocol === "wss:"
    const { select } = yield* NodeProxy.Proxy
    const selected = yield* select({ secure, hostname, port: port === "" ? (secure ? 443 : 80) : Number(port) })
    return Option.match(selected, {
      onNone: () => "direct",
      onSome: ({ kind, hostname, port }) => `${kind}://${hostname}:${port}`
    })
  }).pipe(Effect.provide(layer))

const environment = (variables: Readonly<Record<string, string>>) =>
  NodeProxy.layerEnvironment.pipe(
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))))
  )

describe("a proxy's URI", () => {
  const uris: ReadonlyArray<readonly [uri: string, kind: string, hostname: string, port: number]> = [
    ["http://proxy.example", "http", "proxy.example", 80],
    ["http://proxy.example:80/", "http", "proxy.example", 80],
    ["http://proxy.example:3128", "http", "proxy.example", 3128],
    ["https://proxy.example", "https", "proxy.example", 443],
    ["socks4://proxy.example", "socks4", "proxy.example", 1080],
    ["socks4a://proxy.example:80", "socks4a", "proxy.example", 80],
    ["socks5://127.0.0.1", "socks5", "127.0.0.1", 1080],
    ["SOCKS5H://[::1]:9050", "socks5h", "[::1]", 9050],
    ["socks5://BÜCHER.example", "socks5", "xn--bcher-kva.example", 1080],
    ["proxy.example:3128", "http", "proxy.example", 3128],
    ["ada:secret@proxy.example:3128", "http", "proxy.example", 3128]
  ]
  it.effect.each(uris)("C5: %s is read", ([uri, kind, hostname, port]) =>
    Effect.gen(function* () {
      const proxy = yield* NodeProxy.make(uri)
      assert.deepInclude(proxy, { kind, hostname, port } as Partial<NodeProxy.ProxyServer>)
      const { kind: same } = yield* NodeProxy.make(Redacted.make(uri))
      assert.strictEqual(same, kind)
    })
  )

  it.effect("C5: has a user, whose password shows up nowhere", () =>
    Effect.gen(function* () {
      const proxy = yield* NodeProxy.make("socks5h://ada:hunter2%40%C3%BC@proxy.example")
      assert.strictEqual(proxy.credentials?.username, "ada")
      assert.strictEqual(proxy.credentials && Redacted.value(proxy.credentials.password), "hunter2@ü")
      assert.notInclude(JSON.stringify(proxy), "hunter2")
    })
  )

  const invalid: ReadonlyArray<readonly [uri: string, problem: string]> = [
    ["", "it is no URI of a host"],
    ["http://", "it is no URI of a host"],
    ["http://ada:hunter2@proxy.example:70000", "it is no URI of a host"],
    ["socks5://pro xy", "it is no URI of a host"],
    ["ftp://ada:hunter2@proxy.example", "its scheme ftp is none of a proxy"],
    ["socks://proxy.example", "its scheme socks is none of a proxy"],
    ["constructor://proxy.example", "its scheme constructor is none of a proxy"],
    ["http://ada:hunter2@proxy.example/path", "it has more than host and port"],
    ["http://proxy.example?hunter2", "it has more than host and port"],
    ["http://ada:hunter2%@proxy.example", "its user information is not percent-encoded UTF-8"],
    ["http://a%3Ab:hunter2@proxy.example", "its user information has a colon in the user name"],
    ["http://ada:hunter2%0d@proxy.example", "its user information has control characters"],
    ["socks4://ada:hunter2@proxy.example", "its user information has a password, which SOCKS4 knows nothing of"],
    ["socks4a://a%00b@proxy.example", "its user information has a NUL"],
    [`socks5://ada:${"%C3%BC".repeat(128)}@proxy.example`, "its user information has more than 255 bytes"]
  ]
  it.effect.each(invalid)("C5: %s is a ProxyError that says why", ([uri, problem]) =>
    Effect.gen(function* () {
      const built = yield* Effect.flip(Effect.scoped(Layer.build(NodeProxy.layer(uri))))
      for (const error of [built, yield* Effect.flip(NodeProxy.make(uri))]) {
        assert.strictEqual(error.reason._tag, "InvalidProxy")
        assert.include(error.message, problem)
        assert.notInclude(error.message + JSON.stringify(error), "hunter2")
      }
    })
  )
})

describe("one proxy for all", () => {
  const proxy = "http://proxy.example:3128"

  it.effect("C5: is for all servers, this machine too", () =>
    Effect.gen(function* () {
      for (const uri of ["ws://one.example", "wss://one.example", "ws://localhost", "ws://[::1]"]) {
        assert.strictEqual(yield* selectedBy(NodeProxy.layer(proxy), uri), proxy)
      }
    })
  )

  it.effect("C5: is none unless a layer says so", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* selectedBy(Layer.empty, "ws://one.example"), "direct")
      const none = NodeProxy.layerNone.pipe(Layer.provideMerge(NodeProxy.layer(proxy)))
      assert.strictEqual(yield* selectedBy(none, "ws://one.example"), "direct")
    })
  )

  const exceptions: ReadonlyArray<readonly [entry: string, uri: string, excepted: boolean]> = [
    ["*", "ws://one.example", true],
    ["one.example", "ws://one.example", true],
    ["ONE.example", "ws://one.example", true],
    ["one.example", "ws://sub.one.example", true],
    ["one.example", "ws://one.example.", true],
    ["one.example", "ws://phone.example", false],
    ["one.example", "ws://one.example.net", false],
    [".one.example", "ws://sub.one.example", true],
    [".one.example", "ws://one.example", true],
    ["*.one.example", "ws://sub.one.example", true],
    ["one.example:80", "ws://one.example", true],
    ["one.example:443", "wss://one.example", true],
    ["one.example:443", "ws://one.example", false],
    ["10.1.2.3", "ws://10.1.2.3", true],
    ["10.1.2.3", "ws://10.1.2.30", false],
    ["10.1.2.3:81", "ws://10.1.2.3:81", true],
    ["10.1.2.3:81", "ws://10.1.2.3", false],
    ["10.0.0.0/8", "ws://10.200.1.1", true],
    ["10.0.0.0/8", "ws://11.0.0.1", false],
    ["10.0.0.0/33", "ws://10.0.0.0", false],
    ["10.0.0.0/", "ws://10.0.0.0", false],
    ["10.0.0.0/8", "ws://[::ffff:10.1.1.1]", true],
    ["10.0.0.0/8", "ws://10.example", false],
    ["fd00::1", "ws://[fd00:0:0::1]", true],
    ["[fd00::1]:81", "ws://[fd00::1]:81", true],
    ["[fd00::1]:81", "ws://[fd00::1]", false],
    ["fd00::/8", "ws://[fdff::1]", true],
    ["fd00::/8", "ws://[fe00::1]", false],
    ["", "ws://one.example", false],
    [".", "ws://one.example", false]
  ]
  it.effect.each(exceptions)("C5: except %s: %s", ([entry, uri, excepted]) =>
    Effect.gen(function* () {
      const layer = NodeProxy.layer(proxy, { except: ["other.example", entry] })
      assert.strictEqual(yield* selectedBy(layer, uri), excepted ? "direct" : proxy)
    })
  )
})

describe("the environment", () => {
  const p = (name: string) => `http://${name}.example:3128`

  const cases: ReadonlyArray<readonly [variables: Readonly<Record<string, string>>, ws: string, wss: string]> = [
    [{}, "direct", "direct"],
    [{ ws_proxy: p("a") }, p("a"), "direct"],
    [{ wss_proxy: p("a") }, "direct", p("a")],
    [{ http_proxy: p("a") }, p("a"), "direct"],
    [{ https_proxy: p("a") }, p("a"), p("a")],
    [{ all_proxy: p("a") }, p("a"), p("a")],
    [{ WSS_PROXY: p("a"), WS_PROXY: p("b") }, p("b"), p("a")],
    [{ HTTP_PROXY: p("a"), HTTPS_PROXY: p("b") }, p("b"), p("b")],
    [{ ALL_PROXY: "socks5h://a.example" }, "socks5h://a.example:1080", "socks5h://a.example:1080"],
    [{ ws_proxy: p("a"), https_proxy: p("b"), http_proxy: p("c"), all_proxy: p("d") }, p("a"), p("b")],
    [{ https_proxy: p("b"), http_proxy: p("c"), all_proxy: p("d") }, p("b"), p("b")],
    [{ http_proxy: p("c"), all_proxy: p("d") }, p("c"), p("d")],
    [{ https_proxy: p("a"), HTTPS_PROXY: p("b") }, p("a"), p("a")],
    [{ https_proxy: "", HTTPS_PROXY: p("b"), all_proxy: p("c") }, "direct", "direct"],
    [{ https_proxy: "a.example:3128" }, p("a"), p("a")],
    // What a CGI program gets from any request that has a header Proxy.
    [{ HTTP_PROXY: p("a"), REQUEST_METHOD: "GET" }, "direct", "direct"],
    [{ http_proxy: p("a"), REQUEST_METHOD: "GET" }, p("a"), "direct"]
  ]
  it.effect.each(cases)("C5: %j", ([variables, ws, wss]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* selectedBy(environment(variables), "ws://one.example"), ws)
      assert.strictEqual(yield* selectedBy(environment(variables), "wss://one.example"), wss)
    })
  )

  it.effect("C5: names what is reached directly, in lower case or else in upper case", () =>
    Effect.gen(function* () {
      for (const no_proxy of ["one.example,.two.example", " one.example  two.example ", "one.example, two.example"]) {
        const layers = [
          environment({ all_proxy: p("a"), no_proxy }),
          environment({ ALL_PROXY: p("a"), NO_PROXY: no_proxy })
        ]
        for (const layer of layers) {
          assert.strictEqual(yield* selectedBy(layer, "ws://one.example"), "direct")
          assert.strictEqual(yield* selectedBy(layer, "ws://sub.two.example"), "direct")
          assert.strictEqual(yield* selectedBy(layer, "ws://three.example"), p("a"))
        }
      }
    })
  )

  const machines: ReadonlyArray<readonly [uri: string, isLoopback: boolean]> = [
    ["ws://localhost", true],
    ["ws://LOCALHOST.:81", true],
    ["ws://app.localhost", true],
    ["ws://127.0.0.1", true],
    ["ws://127.255.255.254", true],
    ["ws://[::1]", true],
    ["ws://[::ffff:127.0.0.1]", true],
    ["ws://128.0.0.1", false],
    ["ws://localhost.example", false],
    ["ws://notlocalhost", false],
    ["ws://[::2]", false]
  ]
  it.effect.each(machines)("C5: never leads through a proxy to this machine: %s, %s", ([uri, isLoopback]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* selectedBy(environment({ all_proxy: p("a") }), uri), isLoopback ? "direct" : p("a"))
    })
  )

  it.effect("C5: with a variable that names no proxy is a ProxyError", () =>
    Effect.gen(function* () {
      const layer = environment({ https_proxy: "ftp://ada:hunter2@a.example" })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error._tag, "ProxyError")
      assert.include(error.message, "cannot use the proxy ftp://a.example: its scheme ftp is none of a proxy")
    })
  )

  it.effect("C5: means nothing to a connector unless it is asked for", () =>
    Effect.gen(function* () {
      const provider = Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["all_proxy", p("a")]])))
      assert.strictEqual(yield* selectedBy(provider, "ws://one.example"), "direct")
    })
  )
})

describe("a choice of proxies of one's own", () => {
  it.live("C5: takes the place of ours, and is asked for each connection", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { port } = yield* serve(echo)
        const proxy = yield* httpProxy()
        const chosen = yield* NodeProxy.make(proxy.uri)
        const own = Layer.succeed(NodeProxy.Proxy, {
          select: ({ hostname }) => Effect.succeed(hostname === "127.0.0.1" ? Option.none() : Option.some(chosen))
        })
        for (const host of ["127.0.0.1", "localhost", "127.0.0.1"]) {
          const connection = yield* connectVia(own, `ws://${host}:${port}`)
          yield* connection.send("hello")
          assert.strictEqual(yield* connection.receive, "hello")
        }
        assert.deepStrictEqual(
          proxy.asked.map(({ url }) => url),
          [`localhost:${port}`]
        )
      })
    )
  )
})
