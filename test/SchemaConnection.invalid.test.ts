import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Schema, Stream } from "effect"
import { Codec, ConnectionClosed, type DecodeError, Protocol, SchemaConnection } from "effect-websockets"
import * as msgpackr from "msgpackr"
import * as Frame from "../src/protocol/Frame.js"
import { hex, masked, open, plain, settle } from "./support.js"

const Count = Schema.Struct({ n: Schema.Number })
const Refused = Schema.TaggedStruct("Refused", { why: Schema.String })
const Counting = Protocol.make({ client: Count, server: Refused })

const count = (n: unknown) => Frame.text(JSON.stringify({ n }))
const normal = Frame.close({ code: 1000, reason: "" })

const received = (frame: Frame.Frame, protocol: Protocol.Protocol<typeof Count, typeof Refused> = Counting) =>
  Effect.gen(function* () {
    const { connection, peer } = yield* open("server")
    yield* peer.write(masked(frame))
    const error = yield* Effect.flip(SchemaConnection.server(connection, protocol).receive)
    return error._tag === "DecodeError" ? error : assert.fail(error.message)
  })

describe("D11: a message that is none of the protocol's", () => {
  it.scoped("is an error with the message and the ParseError, which says what and where", () =>
    Effect.gen(function* () {
      const error = yield* received(count("one"))
      assert.strictEqual(error.received, `{"n":"one"}`)
      assert.ok(error.reason._tag === "Schema")
      assert.include(error.reason.error.message, `["n"]`)
      assert.strictEqual(
        error.message,
        'received a text message of 11 characters that its schema does not allow (n: Expected number, actual "one"): ' +
          "mend what the peer sends, or the schema; the option `invalid` says what becomes of such messages"
      )
    })
  )

  it.scoped("may be no JSON at all", () =>
    Effect.gen(function* () {
      const error = yield* received(Frame.text(`{"n":`))
      assert.strictEqual(error.reason._tag, "Syntax")
      assert.match(error.message, /^received a text message of 5 characters that is no JSON \(.*\): let the peer/)
    })
  )

  it.scoped("may be of the other type", () =>
    Effect.gen(function* () {
      const binary = yield* received(Frame.binary(Uint8Array.from([1, 2])))
      assert.deepStrictEqual(binary.reason, { _tag: "MessageType", expected: "text" })
      assert.include(binary.message, "received a binary message of 2 bytes where JSON comes as text")
      const packed = Protocol.make({ client: Count, server: Refused, codec: Codec.messagePack(msgpackr) })
      const text = yield* received(count(1), packed)
      assert.deepStrictEqual(text.reason, { _tag: "MessageType", expected: "binary" })
      assert.include(text.message, "where MessagePack comes as binary")
    })
  )

  it.scoped("may be nested more deeply than a Schema goes, which is no defect", () =>
    Effect.gen(function* () {
      interface Tree {
        readonly of: ReadonlyArray<Tree>
      }
      const Tree: Schema.Schema<Tree> = Schema.Struct({ of: Schema.Array(Schema.suspend(() => Tree)) })
      const trees = Protocol.make({ client: Tree, server: Refused })
      const { connection, peer } = yield* open("server")
      const depth = 40_000
      yield* peer.write(masked(Frame.text(`${`{"of":[`.repeat(depth)}1${"]}".repeat(depth)}`)))
      const error = yield* Effect.flip(SchemaConnection.server(connection, trees).receive)
      assert.ok(error._tag === "DecodeError")
      assert.isBelow(error.message.length, 500)
    })
  )

  it.scoped("shows little of what came, and nothing that a terminal obeys", () =>
    Effect.gen(function* () {
      for (const frame of [
        count(`\u001b[2J\u202e${"x".repeat(10_000)}`),
        Frame.text(`\u001b[2J\u202e${"x".repeat(10_000)}`)
      ]) {
        const { message } = yield* received(frame)
        assert.isBelow(message.length, 500)
        assert.notMatch(message, /\p{Cc}|\p{Cf}/u)
      }
    })
  )

  it.scoped("fails who receives, and the next one is there after it", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const counting = SchemaConnection.server(connection, Counting)
      yield* peer.write(masked(count(1), count("two"), count(3), count("four"), count(5), normal))
      const seen: Array<number> = []
      const all = SchemaConnection.runForEach(counting, ({ n }) => Effect.sync(() => seen.push(n)))
      assert.strictEqual((yield* Effect.flip(all))._tag, "DecodeError")
      assert.deepStrictEqual(seen, [1])
      assert.deepStrictEqual(yield* counting.receive, { n: 3 })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(counting.messages)))._tag, "DecodeError")
      yield* all
      assert.deepStrictEqual(seen, [1, 5])
    })
  )

  it.scoped("skip: is passed over, once the hook has run", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const counting = SchemaConnection.server(connection, Counting, {
        invalid: "skip",
        onInvalid: (error, { send }) => send({ _tag: "Refused", why: error.reason._tag })
      })
      yield* peer.write(masked(count("one"), Frame.text("?"), count(3), count("four"), count(5), normal))
      assert.deepStrictEqual(yield* counting.receive, { n: 3 })
      const refused = (why: string) => Frame.text(JSON.stringify({ _tag: "Refused", why }))
      assert.strictEqual(hex(yield* peer.read), hex(plain(refused("Schema"), refused("Syntax"))))
      const rest = yield* Stream.runCollect(counting.messages)
      assert.deepStrictEqual([...rest], [{ n: 5 }])
    })
  )

  it.scoped("skip: a hook's failure is who receives'", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const counting = SchemaConnection.server(connection, Counting, {
        invalid: "skip",
        onInvalid: () => Effect.fail("enough" as const)
      })
      yield* peer.write(masked(count("one"), count(2)))
      assert.strictEqual(yield* Effect.flip(counting.receive), "enough")
      assert.deepStrictEqual(yield* counting.receive, { n: 2 })
    })
  )

  it.scoped.each([
    ["1007, where it does not parse", Frame.text("?"), 1007, "JSON expected"],
    ["1007, where the Schema does not allow it", count("one"), 1007, "not a message of the protocol"],
    ["1003, where its type is another", Frame.binary(Uint8Array.from([1])), 1003, "text expected"]
  ] as const)("close: closes with %s, and what came behind it is not read", ([, frame, code, reason]) =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const seen: Array<DecodeError> = []
      const counting = SchemaConnection.server(connection, Counting, {
        invalid: "close",
        onInvalid: (error) => Effect.sync(() => seen.push(error))
      })
      yield* peer.write(masked(frame, count(2)))
      const receiving = yield* Effect.fork(counting.receive)
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.close({ code, reason }))))
      yield* peer.write(masked(Frame.close({ code, reason: "" })))
      yield* peer.end
      const error = yield* Effect.flip(Fiber.join(receiving))
      assert.strictEqual(ConnectionClosed.code(error._tag === "ConnectionClosed" ? error : assert.fail()), code)
      assert.strictEqual(seen.length, 1)
      for (const again of [
        counting.receive,
        Stream.runDrain(counting.messages),
        SchemaConnection.runForEach(counting, () => Effect.die("read"))
      ]) {
        assert.strictEqual((yield* Effect.flip(again))._tag, "ConnectionClosed")
      }
    })
  )

  it.scoped("close: with a code of one's own; one that cannot be sent is a defect before any peer is at fault", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const counting = SchemaConnection.server(connection, Counting, { invalid: "close", invalidCode: 4001 })
      yield* peer.write(masked(count("one")))
      yield* Effect.fork(counting.receive)
      const bytes = yield* peer.read
      assert.deepStrictEqual([...bytes.subarray(2, 4)], [4001 >> 8, 4001 & 0xff])
      assert.throws(() => SchemaConnection.server(connection, Counting, { invalidCode: 1006 }), /1006 cannot be sent/)
      yield* peer.destroy
    })
  )
})

describe("D11: a value that cannot be sent", () => {
  it.scoped("is an error, and nothing of it has been sent", () =>
    Effect.gen(function* () {
      const Even = Schema.Number.pipe(Schema.filter((n) => n % 2 === 0, { message: () => "an odd number" }))
      const evens = Protocol.make({ client: Schema.Never, server: Schema.Struct({ n: Even }) })
      const { connection, peer } = yield* open("server")
      const even = SchemaConnection.server(connection, evens)
      const error = yield* Effect.flip(even.sendAll([{ n: 2 }, { n: 3 }]))
      assert.ok(error._tag === "EncodeError" && error.reason._tag === "Schema")
      assert.deepStrictEqual(error.value, { n: 3 })
      assert.strictEqual(
        error.message,
        "cannot send a value that its schema does not allow (n: an odd number): mend the value, or the schema"
      )
      assert.strictEqual((yield* Effect.flip(even.send({ n: 5 })))._tag, "EncodeError")
      yield* even.send({ n: 4 })
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.text(`{"n":4}`))))
    })
  )

  it.scoped("is one too where the codec has nothing for it, also inside a handler's loop", () =>
    Effect.gen(function* () {
      const unknowns = Protocol.make({ client: Count, server: Schema.Unknown })
      const { connection, peer } = yield* open("server")
      const counting = SchemaConnection.server(connection, unknowns)
      const circle: Record<string, unknown> = {}
      circle["itself"] = circle
      for (const value of [undefined, circle, 1n]) {
        const error = yield* Effect.flip(counting.send(value))
        assert.ok(error._tag === "EncodeError" && error.reason._tag === "Thrown")
        assert.include(error.message, "does not become JSON")
      }
      yield* peer.write(masked(count(1)))
      const exit = yield* Effect.exit(SchemaConnection.runForEach(counting, () => counting.send(circle)))
      assert.ok(exit._tag === "Failure")
      assert.include(Cause.pretty(exit.cause), "EncodeError")
    })
  )

  it.scoped("ends a channel with that error, and the connection with 1011", () =>
    Effect.gen(function* () {
      const { connection, peer } = yield* open("server")
      const unknowns = SchemaConnection.server(connection, Protocol.make({ client: Count, server: Schema.Unknown }))
      const running = yield* Effect.fork(
        Stream.runDrain(Stream.pipeThroughChannel(Stream.succeed<unknown>(1n), SchemaConnection.toChannel(unknowns)))
      )
      yield* settle
      assert.strictEqual(hex(yield* peer.read), hex(plain(Frame.close({ code: 1011, reason: "" }))))
      yield* peer.destroy
      assert.strictEqual((yield* Effect.flip(Fiber.join(running)))._tag, "EncodeError")
    })
  )
})
