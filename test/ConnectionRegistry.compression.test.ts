import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { type Connection, ConnectionRegistry, Deflate, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeDeflate } from "effect-websockets/node"
import { Testing } from "effect-websockets/testing"
import { settle } from "./support.js"

/** A service that writes down what is compressed, and with which windows. */
const recording = () => {
  const deflated: Array<string> = []
  const service: Deflate.Service = {
    inflater: (options) => NodeDeflate.service.inflater(options),
    deflater: (options) => {
      const deflater = NodeDeflate.service.deflater(options)
      const kind = `${options.windowBits} ${options.keepsContext ? "kept" : "fresh"}`
      return {
        deflate: (payload) => {
          deflated.push(`${kind}: ${payload.length}`)
          return deflater.deflate(payload)
        },
        reset: () => {
          deflated.push(`${kind}: forgotten`)
          deflater.reset()
        },
        end: () => deflater.end()
      }
    }
  }
  return { deflated, layer: Deflate.layer(service) }
}

/** Sends what its client asks for by its name: to itself, or to all. */
const handler = (connection: Connection.Connection) =>
  Effect.gen(function* () {
    const registry = yield* ConnectionRegistry.ConnectionRegistry
    for (;;) {
      const text = yield* connection.receiveText
      if (text.startsWith("all:")) yield* registry.broadcast(text.slice(4))
      else yield* connection.send(text)
    }
  })

const served = (clients: ReadonlyArray<Deflate.Compression>) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      Layer.merge(WebSocketServer.layer(handler, { compression: true }), WebSocketClient.layer).pipe(
        Layer.provideMerge(Testing.layer)
      )
    )
    const connections = yield* Effect.forEach(clients, (compression) =>
      WebSocketClient.connect("ws://memory/", { compression })
    ).pipe(Effect.provide(context))
    yield* settle
    return { connections, context }
  })

const text = (length: number) => Array.from({ length }, (_, i) => "abcdefg"[(i * i) % 7]).join("")

describe("D8: a broadcast to connections with compression", () => {
  it.scoped("is compressed once, for the smallest window, and all have it", () => {
    const { deflated, layer } = recording()
    return Effect.gen(function* () {
      const { connections, context } = yield* served([
        true,
        { serverMaxWindowBits: 10 },
        { serverNoContextTakeover: true, serverMaxWindowBits: 12 },
        false
      ])
      deflated.length = 0
      const report = yield* Effect.flatMap(ConnectionRegistry.ConnectionRegistry, ({ broadcast }) =>
        broadcast(text(5000))
      ).pipe(Effect.provide(context))
      assert.deepStrictEqual(report, { sent: 4, missed: [] })
      for (const connection of connections) assert.strictEqual(yield* connection.receive, text(5000))
      assert.deepStrictEqual(deflated, ["10 fresh: 5000"])
    }).pipe(Effect.provide(layer))
  })

  it.scoped.each([2000, 100_000])("leaves the contexts of both ends in step: %i bytes", (size) => {
    const { deflated, layer } = recording()
    return Effect.gen(function* () {
      const { connections } = yield* served([{ threshold: 1e9 }, { threshold: 1e9, serverMaxWindowBits: 9 }])
      const [one, other] = connections
      for (let i = 0; i < 4; i++) {
        yield* one!.send(text(3000 + i))
        assert.strictEqual(yield* one!.receive, text(3000 + i))
        yield* other!.send(`all:${text(size + i)}`)
        for (const connection of connections) assert.strictEqual(yield* connection.receive, text(size + i))
      }
      assert.deepStrictEqual(deflated.slice(0, 4), [
        "15 kept: 3000",
        `9 fresh: ${size}`,
        "15 kept: forgotten",
        "15 kept: 3001"
      ])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is sent as it is below the threshold, and where its sender wants that", () => {
    const { deflated, layer } = recording()
    return Effect.gen(function* () {
      const { connections, context } = yield* served([true, false])
      const { broadcast } = yield* Effect.provide(ConnectionRegistry.ConnectionRegistry, context)
      yield* broadcast(text(1023))
      yield* broadcast(text(5000), { compress: false })
      yield* broadcast(text(5), { compress: true })
      for (const connection of connections) {
        assert.deepStrictEqual(
          (yield* Effect.replicateEffect(connection.receive, 3)).map(({ length }) => length),
          [1023, 5000, 5]
        )
      }
      assert.deepStrictEqual(deflated, ["15 fresh: 5"])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("comes to all in the order of the broadcasts, though a large one takes its time to compress", () =>
    Effect.gen(function* () {
      const { connections, context } = yield* served([true, false])
      const { broadcast } = yield* Effect.provide(ConnectionRegistry.ConnectionRegistry, context)
      const large = yield* Effect.fork(broadcast(text(100_000)))
      yield* Effect.yieldNow()
      yield* broadcast("small")
      yield* Fiber.join(large)
      const [one, other] = yield* Effect.forEach(connections, (connection) =>
        Effect.map(Effect.replicateEffect(connection.receive, 2), (all) => all.map(({ length }) => length))
      )
      assert.deepStrictEqual(one, other)
    }).pipe(Effect.provide(NodeDeflate.layer))
  )

  it.scoped("is missed by whose compressor throws, and by nobody else", () => {
    const broken: Deflate.Service = {
      ...NodeDeflate.service,
      deflater: (options) => {
        const deflater = NodeDeflate.service.deflater(options)
        return {
          deflate: () => {
            throw new Error("broken")
          },
          reset: () => deflater.reset(),
          end: () => deflater.end()
        }
      }
    }
    return Effect.gen(function* () {
      const { connections, context } = yield* served([true, false])
      const { broadcast } = yield* Effect.provide(ConnectionRegistry.ConnectionRegistry, context)
      const { missed, sent } = yield* broadcast(text(5000))
      assert.deepStrictEqual([sent, missed.length], [1, 1])
      assert.strictEqual((yield* connections[1]!.receive).length, 5000)
    }).pipe(Effect.provide(Deflate.layer(broken)))
  })
})
