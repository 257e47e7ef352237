import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Codec, Protocol, SchemaConnection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { NodeConnector, NodeListener } from "effect-websockets/node"
import * as msgpackr from "msgpackr"
import { describe } from "vitest"

const Take = Schema.TaggedStruct("Take", { id: Schema.Number, bytes: Schema.Uint8ArrayFromSelf })
const Taken = Schema.TaggedStruct("Taken", { to: Schema.Number, bytes: Schema.Uint8ArrayFromSelf })

const Bytes = Protocol.make({
  client: Take,
  server: Taken,
  codec: Codec.messagePack(msgpackr),
  asks: { id: "id", answers: "to" }
})

/** Gives back what it is asked to take. */
const giving = WebSocketServer.layer((connection) => {
  const server = SchemaConnection.server(connection, Bytes)
  return SchemaConnection.runForEach(server, ({ bytes, id }) => server.send({ _tag: "Taken", to: id, bytes }))
})

const pattern = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251)

describe("D11: typed messages on sockets", () => {
  it.scopedLive("of MessagePack, small and large, are asked for at the same time and come back whole", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(
        Layer.merge(
          Layer.provide(giving, NodeListener.layer({ port: 0 })),
          Layer.provide(WebSocketClient.layer, NodeConnector.layer)
        )
      )
      const { address } = Context.get(context, WebSocketServer.WebSocketServer)
      const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
      const { connect } = Context.get(context, WebSocketClient.WebSocketClient)
      const client = SchemaConnection.client(yield* connect(`ws://localhost:${port}`), Bytes)
      const sizes = [0, 1, 100, 70_000, 200_000, 65_536, 5, 500_000, 1_000_000, 3]
      const answers = yield* Effect.forEach(
        sizes,
        (size, seed) => client.ask((id) => ({ _tag: "Take", id, bytes: pattern(size, seed) })),
        { concurrency: "unbounded" }
      )
      for (const [seed, { bytes }] of answers.entries()) {
        assert.isTrue(Buffer.from(pattern(sizes[seed]!, seed)).equals(bytes), `${sizes[seed]} bytes`)
      }
    })
  )
})
