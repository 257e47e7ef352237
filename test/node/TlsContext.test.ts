import { rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { TLSSocket } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Redacted, Ref, Scope } from "effect"
import { WebSocketServer } from "effect-websockets"
import { type CertificateError, NodeListener, TlsContext } from "effect-websockets/node"
import {
  certificate,
  connect,
  echo,
  eventually,
  expiredCertificate,
  folder,
  foreignCertificate,
  leavesNothing,
  otherCertificate,
  type Pair,
  rawTls
} from "./support.js"

/** Certificates that change while the server listens. */

const pairOf = ({ key, cert }: Pair): TlsContext.Pair => ({ key: Redacted.make(key), cert })

const place = { port: 0, host: "127.0.0.1" }

/** A server with a certificate that is loaded like that. */
const serving = <E>(tls: Layer.Layer<TlsContext.TlsContext, E>) =>
  Effect.gen(function* () {
    const lines = yield* Ref.make<ReadonlyArray<string>>([])
    const logger = Logger.make(({ message }) => Effect.runSync(Ref.update(lines, (all) => [...all, String(message)])))
    const context = yield* Layer.build(
      WebSocketServer.layer(echo).pipe(
        Layer.provide(NodeListener.layerTls(place)),
        Layer.provideMerge(tls),
        Layer.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    )
    const { address } = Context.get(context, WebSocketServer.WebSocketServer)
    const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
    const { reload } = Context.get(context, TlsContext.TlsContext)
    return { uri: `wss://localhost:${port}`, port, reload, lines }
  })

/** The certificate that a new connection is shown. */
const shown = (port: number) =>
  Effect.scoped(
    Effect.map(rawTls({ port }), ({ socket }) =>
      socket instanceof TLSSocket ? (socket.getPeerX509Certificate()?.toString() ?? "none") : assert.fail("no TLS")
    )
  )

const isShown = (port: number, { cert }: Pair) =>
  Effect.map(shown(port), (pem) => assert.strictEqual(pem.trim(), cert.replaceAll("\r", "").trim()))

const echoes = (text: string, { send, receive }: Effect.Effect.Success<ReturnType<typeof connect>>) =>
  Effect.gen(function* () {
    yield* send(text)
    assert.strictEqual(yield* receive, text)
  })

describe("a TlsContext", () => {
  it.live("H13: is loaded anew: live connections go on, new ones see the new certificate", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [first, second] = [yield* certificate, yield* otherCertificate]
        const pair = yield* Ref.make(first)
        const { uri, port, reload } = yield* serving(TlsContext.layer(Effect.map(Ref.get(pair), pairOf)))
        const early = yield* connect(uri, {}, { tls: { ca: first.cert } })
        yield* echoes("before", early)
        yield* isShown(port, first)
        yield* Ref.set(pair, second)
        yield* isShown(port, first)
        yield* reload
        yield* isShown(port, second)
        yield* echoes("after", early)
        yield* echoes("new", yield* connect(uri, {}, { tls: { ca: second.cert } }))
        const error = yield* Effect.flip(connect(uri, {}, { tls: { ca: first.cert } }))
        assert.strictEqual(error._tag, "TransportError")
      })
    )
  )

  it.live("H13: that cannot be loaded anew fails with a typed error, without secrets, and the old one stays", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [first, second] = [yield* certificate, yield* otherCertificate]
        const bad: ReadonlyArray<readonly [Effect.Effect<TlsContext.Pair, Error>, RegExp]> = [
          [Effect.succeed(pairOf({ cert: first.cert, key: second.key })), /key values mismatch/],
          [Effect.succeed(pairOf({ cert: "no PEM", key: first.key })), /no start line|PEM/],
          [Effect.succeed(pairOf({ cert: first.cert, key: "s3cret" })), /DECODER|PEM|unsupported/],
          [Effect.fail(new Error("the store is away")), /the store is away/]
        ]
        const load = yield* Ref.make<Effect.Effect<TlsContext.Pair, Error>>(Effect.succeed(pairOf(first)))
        const { uri, port, reload } = yield* serving(
          TlsContext.layer(Effect.flatten(Ref.get(load)), { source: "the store" })
        )
        for (const [next, problem] of bad) {
          yield* Ref.set(load, next)
          const error: CertificateError = yield* Effect.flip(reload)
          assert.strictEqual(error._tag, "CertificateError")
          assert.match(error.message, /^cannot use the certificate and the key of the store: /)
          assert.match(error.message, problem)
          assert.notInclude(JSON.stringify(error) + String(error), "s3cret")
          yield* isShown(port, first)
        }
        yield* Ref.set(load, Effect.succeed(pairOf(second)))
        yield* reload
        yield* isShown(port, second)
        yield* echoes("again", yield* connect(uri, {}, { tls: { ca: second.cert } }))
      })
    )
  )

  it.live("H13: that does not fit from the start is a failure of its layer", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { cert } = yield* certificate
        const { key } = yield* otherCertificate
        const error = yield* Effect.flip(
          Effect.scoped(serving(TlsContext.layer(Effect.succeed(pairOf({ cert, key })))))
        )
        assert.strictEqual(error._tag, "CertificateError")
        const missing = yield* Effect.flip(
          Effect.scoped(serving(TlsContext.layerFiles({ cert: "/nowhere/cert.pem", key: "/nowhere/key.pem" })))
        )
        assert.match(missing.message, /of \/nowhere\/cert.pem and \/nowhere\/key.pem: ENOENT/)
      })
    )
  )

  it.live("H13: is refused by clients when it is expired or for another host, and taken once it is a good one", () =>
    leavesNothing(
      Effect.gen(function* () {
        const good = yield* certificate
        const pair = yield* Ref.make(good)
        const { uri, reload } = yield* serving(TlsContext.layer(Effect.map(Ref.get(pair), pairOf)))
        const cases: ReadonlyArray<readonly [Pair, string]> = [
          [yield* expiredCertificate, "CERT_HAS_EXPIRED"],
          [yield* foreignCertificate, "ERR_TLS_CERT_ALTNAME_INVALID"]
        ]
        for (const [bad, code] of cases) {
          yield* Ref.set(pair, bad)
          yield* reload
          const error = yield* Effect.flip(connect(uri, {}, { tls: { ca: bad.cert } }))
          assert.strictEqual(error._tag === "TransportError" ? error.code : error._tag, code)
        }
        yield* Ref.set(pair, good)
        yield* reload
        yield* echoes("good", yield* connect(uri, {}, { tls: { ca: good.cert } }))
      })
    )
  )

  it.effect("H13: holds what its load has acquired for as long as that pair is in use", () =>
    Effect.gen(function* () {
      const good = yield* certificate
      const { key } = yield* otherCertificate
      const held = yield* Ref.make<ReadonlyArray<number>>([])
      const count = yield* Ref.make(0)
      const next = yield* Ref.make<Effect.Effect<TlsContext.Pair, Error>>(Effect.succeed(pairOf(good)))
      const load = Effect.acquireRelease(
        Effect.tap(
          Ref.updateAndGet(count, (n) => n + 1),
          (n) => Ref.update(held, (all) => [...all, n])
        ),
        (n) => Ref.update(held, (all) => all.filter((other) => other !== n))
      ).pipe(Effect.zipRight(Effect.flatten(Ref.get(next))))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(TlsContext.layer(load), scope)
      const reload = Effect.provide(TlsContext.reload, context)
      assert.deepStrictEqual(yield* Ref.get(held), [1])
      yield* reload
      yield* reload
      assert.deepStrictEqual(yield* Ref.get(held), [3])
      for (const bad of [Effect.succeed(pairOf({ ...good, key })), Effect.fail(new Error("the store is away"))]) {
        yield* Ref.set(next, bad)
        yield* Effect.flip(reload)
        assert.deepStrictEqual(yield* Ref.get(held), [3])
      }
      // One that is loaded still when the layer ends is put nowhere.
      const gate = yield* Deferred.make<TlsContext.Pair>()
      yield* Ref.set(next, Deferred.await(gate))
      const interrupted = yield* Effect.fork(reload)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(interrupted)
      assert.deepStrictEqual(yield* Ref.get(held), [3])
      const late = yield* Effect.fork(reload)
      yield* Effect.yieldNow()
      assert.deepStrictEqual(yield* Ref.get(held), [3, 7])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Ref.get(held), [7])
      yield* Deferred.succeed(gate, pairOf(good))
      yield* Fiber.join(late)
      assert.deepStrictEqual(yield* Ref.get(held), [])
    })
  )

  it.effect("H13: that one server cannot take is taken by the others, and the failure is a typed error", () =>
    Effect.gen(function* () {
      const [first, second] = [yield* certificate, yield* otherCertificate]
      const pair = yield* Ref.make(first)
      const context = yield* Layer.build(TlsContext.layer(Effect.map(Ref.get(pair), pairOf), { source: "the store" }))
      const { reload, use } = Context.get(context, TlsContext.TlsContext)
      const taken: Array<string> = []
      const take = (name: string) => use(({ cert }) => void taken.push(`${name} ${cert === first.cert ? 1 : 2}`))
      yield* take("a")
      yield* use(({ cert }) => {
        if (cert === second.cert) throw new Error("not that one")
      })
      yield* take("b")
      yield* Ref.set(pair, second)
      const error = yield* Effect.flip(reload)
      assert.strictEqual(error.message.split(": ").at(0), "cannot use the certificate and the key of the store")
      assert.include(error.message, "not that one")
      assert.deepStrictEqual(taken, ["a 1", "b 1", "a 2", "b 2"])
      // Who cannot take the pair that is in use is a bug, and is not asked again.
      const exit = yield* Effect.exit(use(() => assert.fail("never")))
      assert.isTrue(Exit.isFailure(exit))
      yield* Ref.set(pair, first)
      yield* reload
    }).pipe(Effect.scoped)
  )

  it.live("H13: serves several listeners, which learn of the new certificate together", () =>
    leavesNothing(
      Effect.gen(function* () {
        const [first, second] = [yield* certificate, yield* otherCertificate]
        const pair = yield* Ref.make(first)
        const tls = yield* Layer.build(TlsContext.layer(Effect.map(Ref.get(pair), pairOf)))
        const context = yield* Layer.build(
          WebSocketServer.layer(echo).pipe(
            Layer.provide(NodeListener.merge(NodeListener.layerTls(place), NodeListener.layerTls(place))),
            Layer.provide(Layer.succeedContext(tls))
          )
        )
        const ports = Context.get(context, WebSocketServer.WebSocketServer).addresses.map((address) =>
          address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
        )
        assert.strictEqual(new Set(ports).size, 2)
        for (const port of ports) yield* isShown(port, first)
        yield* Ref.set(pair, second)
        yield* Effect.provide(TlsContext.reload, tls)
        for (const port of ports) yield* isShown(port, second)
      })
    )
  )
})

describe("certificates in files", () => {
  const writePair = (directory: string, { cert, key }: Pair) =>
    Effect.promise(async () => {
      // As tools do it: the new file takes the place of the old one.
      for (const [name, text] of [["cert.pem", cert] as const, ["key.pem", key] as const]) {
        await writeFile(join(directory, `${name}.new`), text)
        await rename(join(directory, `${name}.new`), join(directory, name))
      }
    })

  /** A folder with a pair in it, and another pair. */
  const written = Effect.gen(function* () {
    const [directory, first, second] = [yield* folder, yield* certificate, yield* otherCertificate]
    yield* writePair(directory, first)
    const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") }
    return { directory, files, first, second }
  })

  const until = (lines: Ref.Ref<ReadonlyArray<string>>, text: string) =>
    eventually(() => Effect.runSync(Ref.get(lines)).some((line) => line.includes(text)))

  it.live("H13: are loaded anew when they change", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { directory, files, first, second } = yield* written
        const reloadOn = TlsContext.onChange(files.cert, files.key)
        const { port, lines } = yield* serving(TlsContext.layerFiles(files, { reloadOn }))
        yield* isShown(port, first)
        yield* writePair(directory, second)
        yield* until(lines, "was reloaded")
        yield* isShown(port, second)
      })
    )
  )

  it.live("H13: are loaded anew on a signal; those that do not fit are logged, and the old ones stay", () =>
    leavesNothing(
      Effect.gen(function* () {
        const { directory, files, first, second } = yield* written
        const { port, lines } = yield* serving(
          TlsContext.layerFiles(files, { reloadOn: TlsContext.onSignal("SIGHUP") })
        )
        yield* eventually(() => process.listenerCount("SIGHUP") === 1)
        yield* writePair(directory, { cert: second.cert, key: first.key })
        process.kill(process.pid, "SIGHUP")
        yield* until(lines, "was not reloaded, the old one stays")
        yield* isShown(port, first)
        yield* writePair(directory, second)
        process.kill(process.pid, "SIGHUP")
        yield* until(lines, "was reloaded")
        yield* isShown(port, second)
      })
    ).pipe(Effect.tap(() => assert.strictEqual(process.listenerCount("SIGHUP"), 0)))
  )

  it.live("H13: whose folder cannot be watched are served all the same, and that is logged", () =>
    leavesNothing(
      Effect.gen(function* () {
        const first = yield* certificate
        const { port, lines } = yield* serving(
          TlsContext.layer(Effect.succeed(pairOf(first)), { reloadOn: TlsContext.onChange("/nowhere/cert.pem") })
        )
        yield* until(lines, "is reloaded no more")
        yield* isShown(port, first)
      })
    )
  )
})
