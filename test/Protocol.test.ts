import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, FastCheck as fc, Schema } from "effect"
import { Codec, Protocol, SchemaConnection } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import * as msgpackr from "msgpackr"

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree: Schema.Schema<Tree> = Schema.Struct({
  value: Schema.Int,
  children: Schema.Array(Schema.suspend(() => Tree)).pipe(Schema.maxItems(2))
})

class Person extends Schema.TaggedClass<Person>()("Person", { name: Schema.NonEmptyString, age: Schema.Int }) {}

/** JSON has no -0. */
const Size = Schema.Finite.pipe(Schema.filter((size) => !Object.is(size, -0)))

const Shape = Schema.Union(
  Schema.TaggedStruct("Circle", { radius: Size, at: Schema.Tuple(Schema.Int, Schema.Int) }),
  Schema.TaggedStruct("Text", { text: Schema.String, size: Schema.optionalWith(Schema.Int, { exact: true }) }),
  Schema.TaggedStruct("Big", { n: Schema.BigInt, when: Schema.Date.pipe(Schema.validDate()) })
)

const Bag = Schema.Struct({
  // Not just any key: `__proto__` is dropped, as below.
  counts: Schema.Record({ key: Schema.String.pipe(Schema.startsWith("k")), value: Schema.Int }),
  names: Schema.HashSet(Schema.String),
  maybe: Schema.Option(Schema.Boolean),
  bytes: Schema.Uint8ArrayFromBase64
})

/** Sends values there and back through both ends of a protocol. */
const echoed = <A, I>(schema: Schema.Schema<A, I>, codec: Codec.Codec, values: ReadonlyArray<A>) =>
  Effect.gen(function* () {
    const protocol = Protocol.make({ client: schema, server: schema, codec })
    const connection = yield* Testing.connect((connection) => {
      const server = SchemaConnection.server(connection, protocol)
      return SchemaConnection.runForEach(server, server.send)
    })
    const client = SchemaConnection.client(connection, protocol)
    yield* client.sendAll(values)
    return yield* Effect.forEach(values, () => client.receive)
  })

const codecs = { JSON: Codec.json, MessagePack: Codec.messagePack(msgpackr) }

describe("D11: what is encoded decodes to what it was", () => {
  const roundTrip = <A, I>(name: string, schema: Schema.Schema<A, I>) =>
    it.scoped.each(Object.entries(codecs))(`${name}, in %s`, ([, codec]) =>
      Effect.gen(function* () {
        const isSame = Schema.equivalence(schema)
        const values = fc.sample(Arbitrary.make(schema), 100)
        for (const [i, value] of (yield* echoed(schema, codec, values)).entries()) {
          assert.isTrue(isSame(value, values[i]!), `${inspect(values[i])} became ${inspect(value)}`)
        }
      })
    )

  roundTrip("a union of tagged structs with transformations", Shape)
  roundTrip("a class", Person)
  roundTrip("a tree", Tree)
  roundTrip("a bag of collections, options and bytes", Bag)
  roundTrip("a plain text", Schema.String)
})

describe("D11: a codec", () => {
  it.each(Object.entries(codecs))("of %s lets no peer say what an object inherits from", (_, codec) => {
    const texts = [`{"a":{"__proto__":{"admin":true},"b":1}}`, `{"a":{"\\u005f_pr\\u006fto__":{"admin":true},"b":1}}`]
    for (const text of texts) {
      const bytes = Uint8Array.from(msgpackr.pack(JSON.parse(text)))
      const value = codec.type === "text" ? codec.decode(text) : codec.decode(bytes)
      const schema = Schema.Record({
        key: Schema.String,
        value: Schema.Record({ key: Schema.String, value: Schema.Unknown })
      })
      const { a } = Schema.decodeUnknownSync(schema)(value)
      assert.strictEqual(a?.["b"], 1)
      assert.isUndefined(a?.["admin"])
    }
  })

  it.scoped("of MessagePack carries bytes and dates as they are", () =>
    Effect.gen(function* () {
      const schema = Schema.Struct({ bytes: Schema.Uint8ArrayFromSelf, at: Schema.DateFromSelf })
      const value = { bytes: Uint8Array.from([1, 2, 255]), at: new Date(1_700_000_000_123) }
      const [back] = yield* echoed(schema, codecs.MessagePack, [value])
      assert.deepStrictEqual([...back!.bytes], [...value.bytes])
      assert.deepStrictEqual(back!.at, value.at)
    })
  )

  it("of MessagePack takes a Packr of one's own, and refuses the records of one that has them", () => {
    const own = Codec.messagePack(new msgpackr.Packr({ useRecords: false }))
    assert.deepStrictEqual(own.decode(own.encode({ a: 1 })), { a: 1 })
    const records = Codec.messagePack(new msgpackr.Packr())
    assert.throws(() => records.decode(records.encode({ a: 1 })), /extension/)
  })

  it("of MessagePack makes no room for what a message only promises", () => {
    const before = process.memoryUsage().rss
    for (let i = 0; i < 10; i++) {
      assert.throws(() => codecs.MessagePack.decode(Uint8Array.from([0xdd, 0x01, 0xff, 0xff, 0xff])), /ends inside/)
    }
    assert.isBelow(process.memoryUsage().rss - before, 100_000_000)
  })
})

describe("D11: the JSON Schema of a protocol", () => {
  it("is of what is on the wire, for each end", () => {
    const { client, server } = Protocol.jsonSchema(Protocol.make({ client: Shape, server: Person }))
    const [circle, text, big] = "anyOf" in client ? client.anyOf : assert.fail("it is no union")
    assert.deepInclude(circle, { type: "object", required: ["_tag", "radius", "at"], additionalProperties: false })
    assert.deepInclude(text, { required: ["_tag", "text"] })
    // A Date and a BigInt are strings there.
    assert.ok(big !== undefined && "properties" in big)
    assert.deepInclude(big.properties["_tag"], { enum: ["Big"] })
    assert.match(JSON.stringify(big.properties), /"n":\{"\$ref":"#\/\$defs\/\w+"|"n":\{"type":"string"/)
    assert.deepStrictEqual("$ref" in server ? Object.keys(server.$defs ?? {}) : Object.keys(server), [
      "Person",
      "NonEmptyString",
      "Int"
    ])
  })

  it("is none where a Schema has none", () => {
    const protocol = Protocol.make({ client: Schema.DateFromSelf, server: Schema.Never })
    assert.throws(() => Protocol.jsonSchema(protocol), /DateFromSelf/)
  })
})

describe("D11: a value's message, for a broadcast", () => {
  const Said = Schema.Struct({ text: Schema.NonEmptyString })
  const Asked = Schema.Struct({ n: Schema.NumberFromString })

  it.scoped.each(Object.entries(codecs))("is what a peer would be sent, in %s", ([, codec]) =>
    Effect.gen(function* () {
      const protocol = Protocol.make({ client: Asked, server: Said, codec })
      const connection = yield* Testing.connect((connection) =>
        Effect.gen(function* () {
          yield* connection.send(yield* Protocol.encodeServer(protocol, { text: "hello" }))
          assert.deepStrictEqual(yield* SchemaConnection.server(connection, protocol).receive, { n: 7 })
        })
      )
      const client = SchemaConnection.client(connection, protocol)
      assert.deepStrictEqual(yield* client.receive, { text: "hello" })
      yield* connection.send(yield* Protocol.encodeClient(protocol, { n: 7 }))
      yield* Effect.ignore(connection.closed)
      const { framesOfClient } = yield* Testing.wireOf(client.raw)
      assert.strictEqual((yield* framesOfClient)[0]?.opcode, codec.type === "text" ? 1 : 2)
    })
  )

  it.effect("is none where the value is none of the schema's", () =>
    Effect.gen(function* () {
      const protocol = Protocol.make({ client: Asked, server: Said })
      const error = yield* Effect.flip(Protocol.encodeServer(protocol, { text: "" }))
      assert.strictEqual(error._tag, "EncodeError")
      assert.deepStrictEqual(error.value, { text: "" })
    })
  )
})
