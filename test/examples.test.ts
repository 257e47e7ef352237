import { type ChildProcess, spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Deferred, Effect, Equal, Exit, Fiber, Layer, Scope } from "effect"
import { type Connection, ConnectionClosed, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { helloClient } from "../examples/hello-client.js"
import { hello, helloServer } from "../examples/hello-server.js"
import { clientTrusting } from "../examples/secure-client.js"
import { secureServer } from "../examples/secure-server.js"

/** What the examples print and log. */
const printed = vi.fn<(line: unknown) => void>()
beforeEach(() => {
  printed.mockClear()
  vi.spyOn(console, "log").mockImplementation(printed)
})
afterEach(() => {
  vi.restoreAllMocks()
})

const world = Effect.succeed("World")
const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))

const portOf = ({ address }: { readonly address: WebSocketServer.WebSocketServer["Type"]["address"] }) =>
  address._tag === "TcpAddress" ? address.port : assert.fail("a TCP server has a port")

const port = Effect.map(WebSocketServer.WebSocketServer, portOf)

/** A handler that tells how its connection ended, as the server saw it. */
const witness = Effect.gen(function* () {
  const ended = yield* Deferred.make<ConnectionClosed.ConnectionClosed>()
  const handler = (connection: Connection.Connection) =>
    Effect.flatMap(connection.closed, (closed) => Deferred.succeed(ended, closed))
  return { handler, code: Effect.map(Deferred.await(ended), ConnectionClosed.code) }
})

describe("S1 and S2, hello in memory", () => {
  it.scoped("greets by name and closes with 1000", () =>
    Effect.gen(function* () {
      const connection = yield* Testing.connect(hello)
      yield* connection.send("World")
      assert.strictEqual(yield* connection.receiveText, "Hello World!")
      assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1000)
    })
  )

  it.effect("is what the client prints", () =>
    helloClient("ws://memory", world).pipe(
      Effect.map((greeting) => assert.strictEqual(greeting, "Hello World!")),
      Effect.provide(
        Layer.merge(WebSocketServer.layer(hello), WebSocketClient.layer).pipe(Layer.provide(Testing.layer))
      )
    )
  )

  it.effect("connects before it asks for the name", () =>
    Effect.gen(function* () {
      const { handler, code } = yield* witness
      const asked = yield* Deferred.make<number>()
      const layer = Layer.merge(WebSocketServer.layer(handler), WebSocketClient.layer).pipe(
        Layer.provideMerge(Testing.layer)
      )
      const nobody = Effect.gen(function* () {
        const wires = yield* Effect.flatMap(Testing.Network, (network) => network.wires)
        yield* Deferred.succeed(asked, wires.length)
        return yield* Effect.fail("nobody answers" as const)
      })
      const exit = yield* helloClient("ws://memory", nobody).pipe(
        Effect.exit,
        Effect.zip(code),
        Effect.provide(layer),
        Effect.map(([exit, code]) => ({ exit, code }))
      )
      assert.isTrue(Equal.equals(exit.exit, Exit.fail("nobody answers" as const)))
      assert.strictEqual(exit.code, 1000)
      assert.strictEqual(yield* Deferred.await(asked), 1)
    })
  )
})

describe("S1 and S2, hello on sockets", () => {
  it.live("greets by name", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* helloClient(`ws://localhost:${yield* port}`, world), "Hello World!")
      const lines = printed.mock.calls.flat().map(String)
      assert.isTrue(lines.some((line) => /level=INFO .*message="<<< World"$/.test(line)))
      // What is not the log's.
      assert.deepStrictEqual(
        lines.filter((line) => !line.includes("level=INFO")),
        ["Hello World!"]
      )
    }).pipe(Effect.provide(Layer.merge(helloServer({ port: 0 }), client)))
  )

  it.live("greets each of many clients by its own name", () =>
    Effect.gen(function* () {
      const uri = `ws://localhost:${yield* port}`
      const names = ["Ada", "Grace", "Barbara", "Frances"]
      const greetings = yield* Effect.all(
        names.map((name) => helloClient(uri, Effect.succeed(name))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        greetings,
        names.map((name) => `Hello ${name}!`)
      )
    }).pipe(Effect.provide(Layer.merge(helloServer({ port: 0 }), client)))
  )

  it.scopedLive("closes with 1001 when the server stops", () =>
    Effect.gen(function* () {
      const serverScope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(helloServer({ port: 0 }), serverScope)
      const uri = `ws://localhost:${yield* Effect.provide(port, context)}`
      const connections = yield* Effect.all([WebSocketClient.connect(uri), WebSocketClient.connect(uri)])
      yield* Scope.close(serverScope, Exit.void)
      for (const connection of connections) {
        assert.strictEqual(ConnectionClosed.code(yield* connection.closed), 1001)
      }
    }).pipe(Effect.provide(client))
  )

  it.scopedLive("closes with 1000 when the client fails inside its scope", () =>
    Effect.gen(function* () {
      const { handler, code } = yield* witness
      const server = WebSocketServer.layer(handler).pipe(Layer.provide(NodeListener.layer({ port: 0 })))
      const context = yield* Layer.build(Layer.merge(server, client))
      const exit = yield* Effect.flatMap(port, (port) =>
        helloClient(`ws://localhost:${port}`, Effect.fail("nobody answers" as const))
      ).pipe(Effect.provide(context), Effect.exit)
      assert.isTrue(Equal.equals(exit, Exit.fail("nobody answers" as const)))
      assert.strictEqual(yield* code, 1000)
    })
  )
})

describe("S3 and S4, hello behind TLS", () => {
  const certificateFile = Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "effect-websockets-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  ).pipe(Effect.map((folder) => join(folder, "localhost.pem")))

  /** A secure server, its port, and the file that its certificate was written to. */
  const secure = Effect.gen(function* () {
    const file = yield* certificateFile
    const context = yield* Layer.build(secureServer({ port: 0, file }))
    return { file, port: yield* Effect.provide(port, context) }
  })

  it.scopedLive("greets a client that trusts its certificate", () =>
    Effect.gen(function* () {
      const { file, port } = yield* secure
      const greeting = helloClient(`wss://localhost:${port}`, world)
      assert.strictEqual(yield* Effect.provide(greeting, clientTrusting(file)), "Hello World!")
    })
  )

  it.scopedLive("is no server for a client that does not trust its certificate", () =>
    Effect.gen(function* () {
      const { port } = yield* secure
      const error = yield* helloClient(`wss://localhost:${port}`, world).pipe(Effect.provide(client), Effect.flip)
      assert.ok(error._tag === "TransportError")
      assert.deepInclude(error, { operation: "tls", code: "DEPTH_ZERO_SELF_SIGNED_CERT" })
      assert.include(error.message, "tls.ca")
    })
  )

  it.scopedLive("refuses a client that speaks no TLS", () =>
    Effect.gen(function* () {
      const { port } = yield* secure
      const error = yield* helloClient(`ws://localhost:${port}`, world).pipe(Effect.provide(client), Effect.flip)
      assert.ok(error._tag === "TransportError")
      assert.strictEqual(error.operation, "handshake")
      assert.include(error.message, "wss://")
    })
  )
})

describe("S1 to S4 as processes, and npm start", () => {
  const root = fileURLToPath(new URL("..", import.meta.url))

  /** A process, whose output is kept, and which does not outlive its scope. */
  const run = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
    Effect.acquireRelease(
      Effect.sync(() => new Run(spawn(command, args, { cwd: root, env: { ...process.env, ...env } }))),
      ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
    )

  const start = (env: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
    run(process.execPath, ["--import", "tsx", "examples/start.ts", ...args], env)

  class Run {
    readonly child: ChildProcess
    stdout = ""
    stderr = ""
    readonly exited: Promise<number | null>

    constructor(child: ChildProcess) {
      this.child = child
      child.stdout?.on("data", (chunk) => {
        this.stdout += chunk
      })
      child.stderr?.on("data", (chunk) => {
        this.stderr += chunk
      })
      this.exited = new Promise((resolve) => child.on("close", resolve))
    }

    get exit() {
      return Effect.promise(() => this.exited)
    }

    /** Where the page is, once it says so. */
    get url() {
      return Effect.promise(
        () =>
          new Promise<string>((resolve, reject) => {
            const look = () => {
              const found = /open (http:\S+)/.exec(this.stdout)?.[1]
              if (found !== undefined) resolve(found)
            }
            look()
            this.child.stdout?.on("data", look)
            this.child.on("close", () => reject(new Error(`it ended before it was there: ${this.stderr}`)))
          })
      )
    }
  }

  it.scopedLive("npm start -- --once prints the exchange and ends", () =>
    Effect.gen(function* () {
      const process = yield* run("npm", ["start", "--silent", "--", "--once"], { PORT: "0" })
      assert.strictEqual(yield* process.exit, 0)
      assert.include(process.stdout, "World\n")
      assert.include(process.stdout, "Hello World!\n")
    })
  )

  it.scopedLive("start says in one line that its port is taken", () =>
    Effect.gen(function* () {
      const other = createServer()
      const taken = yield* Effect.async<number>((resume) => {
        other.listen(0, "localhost", () => {
          const address = other.address()
          if (typeof address === "object" && address !== null) resume(Effect.succeed(address.port))
        })
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => other.close()))
      const process = yield* start({ PORT: String(taken) })
      assert.strictEqual(yield* process.exit, 1)
      assert.match(process.stderr, new RegExp(`^cannot listen on localhost, port ${taken}: .*EADDRINUSE.*\\n$`))
      assert.strictEqual(process.stdout, "")
    })
  )

  it.scopedLive("start says in one line that PORT is none", () =>
    Effect.forEach(
      ["", "http", "65536"],
      (PORT) =>
        Effect.gen(function* () {
          const process = yield* start({ PORT })
          assert.strictEqual(yield* process.exit, 1)
          assert.strictEqual(process.stderr, "PORT has to be a whole number from 0 to 65535\n")
        }),
      { concurrency: "unbounded" }
    )
  )

  it.scopedLive("start serves the page, its socket, the greeting, and nothing else", () =>
    Effect.gen(function* () {
      const process = yield* start({ PORT: "0" })
      const url = yield* process.url
      const get = (path: string, init?: RequestInit) => Effect.promise(() => fetch(new URL(path, url), init))
      const page = yield* get("/")
      assert.strictEqual(page.status, 200)
      assert.match(page.headers.get("content-type") ?? "", /^text\/html\b/)
      const html = yield* Effect.promise(() => page.text())
      assert.match(html, /^<!doctype html>/)
      // Nothing comes from elsewhere, and what a server says never becomes markup.
      assert.notMatch(html, /innerHTML|https?:\/\/|src=/)
      assert.strictEqual((yield* get("/time")).status, 426)
      assert.strictEqual((yield* get("/elsewhere")).status, 404)

      const ws = url.replace("http", "ws")
      const error = yield* Effect.flip(WebSocketClient.connect(`${ws}elsewhere`))
      assert.ok(error._tag === "HandshakeError" && error.reason._tag === "Rejected")
      assert.strictEqual(error.reason.response.status, 404)
      assert.strictEqual(yield* helloClient(`${ws}?query`, world), "Hello World!")
      const connection = yield* WebSocketClient.connect(`${ws}time`)
      const first = JSON.parse(yield* connection.receiveText)
      assert.isFalse(Number.isNaN(Date.parse(first.time)))
      yield* connection.send("<b>")
      const rest = yield* Effect.forEach([1, 2], () => connection.receiveText)
      assert.include(rest, JSON.stringify({ answer: "Hello <b>!" }))
      assert.isTrue(rest.some((message) => "time" in JSON.parse(message)))
    }).pipe(Effect.provide(client))
  )

  it.scopedLive.each(["SIGINT", "SIGTERM"] as const)(
    "start stops at %s: its peers get 1001, and it exits with 0",
    (signal) =>
      Effect.gen(function* () {
        const process = yield* start({ PORT: "0" })
        const url = (yield* process.url).replace("http", "ws")
        const connections = yield* Effect.forEach(["", "time"], (path) => WebSocketClient.connect(`${url}${path}`))
        const closed = yield* Effect.fork(Effect.forEach(connections, ({ closed }) => closed))
        yield* Effect.sync(() => process.child.kill(signal))
        assert.deepStrictEqual((yield* Fiber.join(closed)).map(ConnectionClosed.code), [1001, 1001])
        assert.strictEqual(yield* process.exit, 0)
        assert.strictEqual(process.stderr, "")
      }).pipe(Effect.provide(client))
  )

  it.scopedLive("the client takes the end of its input for no answer, and still closes with 1000", () =>
    Effect.gen(function* () {
      const { handler, code } = yield* witness
      const server = WebSocketServer.layer(handler).pipe(Layer.provide(NodeListener.layer({ port: 0 })))
      const context = yield* Layer.build(server)
      const uri = `ws://localhost:${yield* Effect.provide(port, context)}`
      const program = `
        import { Effect, Layer } from "effect"
        import { WebSocketClient } from "effect-websockets"
        import { NodeConnector, runMain } from "effect-websockets/node"
        import { helloClient, name } from "./examples/hello-client.ts"
        const client = WebSocketClient.layer.pipe(Layer.provide(NodeConnector.layer))
        runMain(Effect.provide(helloClient("${uri}", name), client))
      `
      const process = yield* run(globalThis.process.execPath, ["--import", "tsx", "--input-type=module", "-e", program])
      process.child.stdin?.end()
      assert.strictEqual(yield* code, 1000)
      assert.strictEqual(yield* process.exit, 1)
    })
  )
})
