import { assert, describe, it } from "@effect/vitest"
import { Chunk, Context, Effect, Fiber, Layer, ParseResult, pipe, Queue, Schema, Stream } from "effect"
import {
  Codec,
  type Connection,
  Protocol,
  Resume,
  SchemaConnection,
  WebSocketClient,
  WebSocketServer
} from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as msgpackr from "msgpackr"
import * as Frame from "../src/protocol/Frame.js"
import { Startable } from "../src/send.js"
import { hex, masked, open, plain, settle } from "./support.js"

const Say = Schema.TaggedStruct("Say", { text: Schema.String })
const Leave = Schema.TaggedStruct("Leave", { at: Schema.DateFromNumber })
const Said = Schema.TaggedStruct("Said", { text: Schema.String, times: Schema.NumberFromString })

const Chat = Protocol.make({ client: Schema.Union(Say, Leave), server: Said })
const Packed = Protocol.make({ client: Say, server: Said, codec: Codec.messagePack(msgpackr) })

/** A server's end, and the peer that speaks bytes to it. */
const serving = () =>
  Effect.map(open("server"), (parts) => ({ ...parts, chat: SchemaConnection.server(parts.connection, Chat) }))

const say = (text: string) => Frame.text(`{"_tag":"Say","text":"${text}"}`)

/** Runs a handler as the server's, and gives the client's end of a chat with it. */
const chatting = <A, E, R>(handler: (connection: Connection.Connection) => Effect.Effect<A, E, R>) =>
  Effect.map(Testing.connect(handler), (connection) => SchemaConnection.client(connection, Chat))

describe("D11: values", () => {
  it.scoped("are what each end's Schemas say, in both directions", () =>
    Effect.gen(function* () {
      const chat = yield* chatting((connection) => {
        const chat = SchemaConnection.server(connection, Chat)
        return SchemaConnection.runForEach(chat, (message) => {
          switch (message._tag) {
            case "Say":
              return chat.send({ _tag: "Said", text: message.text, times: 1 })
            case "Leave":
              return chat.send({ _tag: "Said", text: message.at.toISOString(), times: 2 })
          }
        })
      })
      yield* chat.sendAll([
        { _tag: "Say", text: "hello" },
        { _tag: "Leave", at: new Date(0) }
      ])
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Said", text: "hello", times: 1 })
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Said", text: "1970-01-01T00:00:00.000Z", times: 2 })
    })
  )

  it.scoped("are JSON in text messages unless told otherwise", () =>
    Effect.gen(function* () {
      const { chat, peer } = yield* serving()
      yield* chat.send({ _tag: "Said", text: "hello", times: 3 })
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text(`{"_tag":"Said","text":"hello","times":"3"}`))))
      yield* peer.write(masked(say("hi")))
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Say", text: "hi" })
    })
  )

  it.scoped("are MessagePack in binary messages where the protocol says so", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const chat = SchemaConnection.server(connection, Packed)
      yield* peer.write(masked(Frame.binary(Uint8Array.from(msgpackr.pack({ _tag: "Say", text: "hi" })))))
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Say", text: "hi" })
      yield* chat.send({ _tag: "Said", text: "a", times: 1 })
      const [header, , ...payload] = yield* peer.read
      assert.strictEqual(header, 0x82)
      assert.deepStrictEqual(msgpackr.unpack(Uint8Array.from(payload)), { _tag: "Said", text: "a", times: "1" })
    })
  )

  it.scoped("can have a codec of one's own", () =>
    Effect.gen(function* () {
      const csv: Codec.Codec = {
        name: "CSV",
        type: "text",
        encode: (value) => String(value),
        decode: (text) => text.split(",")
      }
      const lists = Protocol.make({ client: Schema.Array(Schema.NumberFromString), server: Schema.Never, codec: csv })
      const { connection, peer } = yield* open("server")
      yield* peer.write(masked(Frame.text("1,2,3")))
      assert.deepStrictEqual(yield* SchemaConnection.server(connection, lists).receive, [1, 2, 3])
    })
  )

  it.scoped("come as a stream, which takes them one by one and ends with a clean end", () =>
    Effect.gen(function* () {
      const { chat, peer } = yield* serving()
      yield* peer.write(masked(say("a"), say("b"), say("c"), say("d"), Frame.close({ code: 1000, reason: "" })))
      const first = yield* Stream.runCollect(Stream.take(chat.messages, 2))
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Say", text: "c" })
      const rest = yield* Stream.runCollect(chat.messages)
      assert.deepStrictEqual(Chunk.toReadonlyArray(first).length, 2)
      assert.deepStrictEqual([...rest], [{ _tag: "Say", text: "d" }])
    })
  )

  it.scoped("a stream fails with an end that is not clean", () =>
    Effect.gen(function* () {
      const { chat, wire } = yield* serving()
      const running = yield* Effect.fork(Stream.runCollect(chat.messages))
      yield* settle
      yield* wire.cut
      assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "ConnectionClosed")
    })
  )

  it.scoped("runForEach ends with a clean end, and fails with the first failure of its effect", () =>
    Effect.gen(function* () {
      const { chat, peer } = yield* serving()
      yield* peer.write(masked(say("a"), say("b"), say("c"), Frame.close({ code: 1000, reason: "" })))
      const failing = SchemaConnection.runForEach(chat, (message) =>
        message._tag === "Say" && message.text === "b" ? Effect.fail("no b") : Effect.void
      )
      assert.strictEqual(yield* Effect.flip(failing), "no b")
      const seen: Array<unknown> = []
      yield* pipe(
        chat,
        SchemaConnection.runForEach((message: unknown) => Effect.sync(() => seen.push(message)))
      )
      assert.deepStrictEqual(seen, [{ _tag: "Say", text: "c" }])
    })
  )

  it.scoped("that answer what came together leave together", () =>
    Effect.gen(function* () {
      const { chat, peer } = yield* serving()
      const answer = (text: string) => Frame.text(`{"_tag":"Said","text":"${text}","times":"1"}`)
      yield* peer.write(masked(say("a"), say("b"), say("c")))
      yield* Effect.fork(
        SchemaConnection.runForEach(chat, (message) =>
          message._tag === "Say" ? chat.send({ _tag: "Said", text: message.text, times: 1 }) : Effect.void
        )
      )
      assert.strictEqual(hex(yield* peer.read), hex(plain(answer("a"), answer("b"), answer("c"))))
      yield* peer.write(masked(say("d"), say("e")))
      assert.strictEqual(hex(yield* peer.read), hex(plain(answer("d"), answer("e"))))
    })
  )

  it.scoped("need no fiber: those of a handler are dealt with while it is being called", () =>
    Effect.gen(function* () {
      const { chat } = yield* serving()
      const { send } = chat
      const sending = send({ _tag: "Said", text: "a", times: 1 })
      assert.isTrue(sending instanceof Startable)
      assert.isUndefined(sending instanceof Startable ? sending.start() : assert.fail())
    })
  )

  it.scoped("go over a session that outlives its connections as well", () =>
    Effect.gen(function* () {
      const sessions = Layer.succeedContext(yield* Layer.build(Resume.layer()))
      const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
      const handler = Resume.handler((session) => {
        const chat = SchemaConnection.server(session, Chat)
        return SchemaConnection.runForEach(chat, (message) => chat.send({ _tag: "Said", text: message._tag, times: 1 }))
      })
      yield* Layer.build(
        WebSocketServer.layer(handler, { subprotocols: [Resume.subprotocol] }).pipe(
          Layer.provide(sessions),
          Layer.provide(network)
        )
      )
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, network))
      const chat = SchemaConnection.client(yield* Effect.provide(Resume.connect("ws://memory"), client), Chat)
      yield* chat.send({ _tag: "Say", text: "hello" })
      assert.deepStrictEqual(yield* chat.receive, { _tag: "Said", text: "Say", times: 1 })
    })
  )

  it.scoped("go through a channel", () =>
    Effect.gen(function* () {
      const { chat, peer } = yield* serving()
      const output = yield* Queue.unbounded<unknown>()
      const input = Stream.make({ _tag: "Said", text: "a", times: 1 } as const)
      yield* Effect.fork(
        Stream.runForEach(Stream.pipeThroughChannel(input, SchemaConnection.toChannel(chat)), (value) =>
          Queue.offer(output, value)
        )
      )
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text(`{"_tag":"Said","text":"a","times":"1"}`))))
      yield* peer.write(masked(say("b")))
      assert.deepStrictEqual(yield* Queue.take(output), { _tag: "Say", text: "b" })
    })
  )
})

/** Looks a name up, where a service says how. */
class Names extends Context.Tag("Names")<Names, { readonly find: (id: number) => Effect.Effect<string> }>() {}

const Name = Schema.transformOrFail(Schema.Number, Schema.String, {
  decode: (id) => Effect.flatMap(Names, ({ find }) => find(id)),
  encode: (name) => ParseResult.succeed(name.length)
})

describe("D11: Schemas with services", () => {
  const Named = Protocol.make({ client: Name, server: Name })

  it.scoped("have them from who receives and who sends", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const named = SchemaConnection.server(connection, Named)
      yield* peer.write(masked(Frame.text("7"), Frame.text("8"), Frame.close({ code: 1000, reason: "" })))
      const seen: Array<string> = [yield* named.receive]
      yield* named.send("four")
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text("4"))))
      yield* SchemaConnection.runForEach(named, (name) => Effect.sync(() => seen.push(name)))
      assert.deepStrictEqual(seen, ["number 7", "number 8"])
    }).pipe(Effect.provideService(Names, { find: (id) => Effect.map(Effect.yieldNow(), () => `number ${id}`) }))
  )

  it.scoped("lose no message to an interruption while it is decoded, whoever reads next", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const named = SchemaConnection.server(connection, Named)
      yield* peer.write(masked(Frame.text("7"), Frame.text("8"), Frame.close({ code: 1000, reason: "" })))
      yield* settle
      const never = Effect.provideService(named.receive, Names, { find: () => Effect.never })
      for (let i = 0; i < 2; i++) {
        const receiving = yield* Effect.fork(never)
        yield* settle
        yield* Fiber.interrupt(receiving)
      }
      const seen: Array<string> = []
      yield* SchemaConnection.runForEach(named, (name) => Effect.sync(() => seen.push(name)))
      assert.deepStrictEqual(seen, ["number 7", "number 8"])
    }).pipe(Effect.provideService(Names, { find: (id) => Effect.succeed(`number ${id}`) }))
  )

  it.scoped("which die are a DecodeError, since a peer has sent what they die of", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const named = SchemaConnection.server(connection, Named)
      yield* peer.write(masked(Frame.text("7")))
      const error = yield* Effect.flip(named.receive)
      assert.ok(error._tag === "DecodeError")
      assert.include(error.message, "that its schema cannot decode (no such name)")
    }).pipe(Effect.provideService(Names, { find: () => Effect.die(new Error("no such name")) }))
  )
})
