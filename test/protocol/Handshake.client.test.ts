import { assert, describe, expect, it } from "vitest"
import type { Extension } from "../../src/protocol/Extension.js"
import * as Handshake from "../../src/protocol/Handshake.js"
import { inverting, toyExtension } from "./helpers.js"

const plain: Handshake.ClientOffer = {
  target: "/chat?room=1",
  host: "example.com",
  key: "dGhlIHNhbXBsZSBub25jZQ==",
  subprotocols: [],
  extensions: [],
  headers: []
}

const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

const required: Handshake.HeaderList = [
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"],
  ["Sec-WebSocket-Accept", accept]
]

const having = (name: string, ...values: ReadonlyArray<string>): Handshake.HeaderList => [
  ...required.filter(([other]) => other !== name),
  ...values.map((value) => [name, value] as const)
]

const verify = (headers: Handshake.HeaderList, offer: Partial<Handshake.ClientOffer> = {}) =>
  Handshake.verify({ ...plain, ...offer }, { status: 101, headers })

const bad = (header: string, problem: string) => ({ _tag: "Refusal", reason: "header", header, problem })

describe("C2: Handshake.request", () => {
  it("asks for a WebSocket", () => {
    expect(Handshake.request(plain)).toEqual({
      method: "GET",
      target: "/chat?room=1",
      version: "1.1",
      headers: [
        ["Host", "example.com"],
        ["Upgrade", "websocket"],
        ["Connection", "Upgrade"],
        ["Sec-WebSocket-Key", plain.key],
        ["Sec-WebSocket-Version", "13"]
      ]
    })
  })

  it("offers subprotocols and extensions, each choice in order, and sends further headers behind", () => {
    const two: Extension = { ...toyExtension("foo", inverting(4)), offers: [[{ name: "a", value: undefined }], []] }
    const { headers } = Handshake.request({
      ...plain,
      subprotocols: ["chat", "superchat"],
      extensions: [two, toyExtension("bar", inverting(2), "2")],
      headers: [
        ["Origin", "https://example.com"],
        ["X-More", "1"]
      ]
    })
    expect(headers.slice(5)).toEqual([
      ["Sec-WebSocket-Protocol", "chat, superchat"],
      ["Sec-WebSocket-Extensions", "foo; a, foo, bar; level=2"],
      ["Origin", "https://example.com"],
      ["X-More", "1"]
    ])
  })

  it("is what a server answers and the client then takes", () => {
    const codec = inverting(4)
    const extensions = [toyExtension("foo", codec)]
    const offer = { ...plain, subprotocols: ["a", "b"], extensions }
    const request = Handshake.request(offer)
    expect(Handshake.checkRequest(request)).toBeUndefined()
    const server = Handshake.answer(request, { subprotocols: ["b"], extensions })
    assert(server._tag === "Agreement")
    const client = Handshake.verify(offer, server.response)
    expect(client).toEqual(server)
    expect(server).toMatchObject({ subprotocol: "b", codecs: [codec] })
  })
})

describe("C3: Handshake.verify", () => {
  it("takes the answer of RFC 6455 §1.3", () => {
    expect(verify(required)).toEqual({
      _tag: "Agreement",
      response: { status: 101, headers: required },
      subprotocol: undefined,
      extensions: [],
      codecs: []
    })
  })

  it.each([
    ["names in any case", required.map(([name, value]) => [name.toUpperCase(), value] as const)],
    ["values in any case", [["Upgrade", "WebSocket"], ["Connection", "upgrade"], required[2]!]],
    ["other members of Connection", having("Connection", "keep-alive, Upgrade")],
    ["blanks around the accept value", having("Sec-WebSocket-Accept", ` ${accept} `)]
  ] as ReadonlyArray<[string, Handshake.HeaderList]>)("takes %s", (_, headers) => {
    expect(verify(headers)._tag).toBe("Agreement")
  })

  it.each([100, 200, 301, 400, 401, 426, 500, 503])("does not take the status %i, whatever else is there", (status) => {
    expect(Handshake.verify(plain, { status, headers: required })).toEqual({ _tag: "Refusal", reason: "status" })
  })

  it.each([
    ["Upgrade", [], "does not say websocket"],
    ["Upgrade", ["h2c"], "does not say websocket"],
    ["Upgrade", ["web socket"], "does not say websocket"],
    ["Connection", [], "does not say Upgrade"],
    ["Connection", ["keep-alive"], "does not say Upgrade"],
    ["Sec-WebSocket-Accept", [], "is not there exactly once"],
    ["Sec-WebSocket-Accept", [accept, accept], "is not there exactly once"],
    ["Sec-WebSocket-Accept", [""], "does not answer our key"],
    ["Sec-WebSocket-Accept", [accept.toLowerCase()], "does not answer our key"],
    ["Sec-WebSocket-Accept", [plain.key], "does not answer our key"]
  ])("does not take %s: %j", (name, values, problem) => {
    expect(verify(having(name, ...values))).toEqual(bad(name, problem))
  })

  it("does not take a 101 of HTTP/1.0, which has no upgrades", () => {
    const response = { status: 101, headers: required } as const
    expect(Handshake.verify(plain, { ...response, version: "1.0" })).toEqual(
      bad("Upgrade", "came with HTTP/1.0, where it means nothing")
    )
    expect(Handshake.verify(plain, { ...response, version: "1.1" })._tag).toBe("Agreement")
  })

  it("asks for the accept value of its own key", () => {
    expect(verify(required, { key: "AAAAAAAAAAAAAAAAAAAAAA==" })).toEqual(
      bad("Sec-WebSocket-Accept", "does not answer our key")
    )
  })
})

describe("C3: Handshake.verify, subprotocols", () => {
  const name = "Sec-WebSocket-Protocol"
  const answered = (subprotocols: ReadonlyArray<string>, ...values: ReadonlyArray<string>) =>
    verify(having(name, ...values), { subprotocols })

  it("takes one that was offered", () => {
    expect(answered(["a", "b"], "b")).toMatchObject({ _tag: "Agreement", subprotocol: "b" })
    expect(answered(["a"], " a ")).toMatchObject({ _tag: "Agreement", subprotocol: "a" })
  })

  it.each([
    [[], ["a"], "was not offered"],
    [["a"], ["b"], "was not offered"],
    [["a"], ["A"], "was not offered"],
    [["a", "b"], ["a, b"], "was not offered"],
    [["a"], [""], "was not offered"],
    [[], [""], "was not offered"],
    [["a", "b"], ["a", "b"], "is there more than once"],
    [["a"], ["a", "a"], "is there more than once"],
    [["a", "b"], [], "is missing: the server speaks none of a, b"]
  ])("having offered %j, does not take %j", (offered, values, problem) => {
    expect(answered(offered, ...values)).toEqual(bad(name, problem))
  })
})

describe("C3: Handshake.verify, extensions", () => {
  const name = "Sec-WebSocket-Extensions"
  const foo = inverting(4)
  const bar = inverting(2)
  const extensions = [toyExtension("foo", foo, "1"), toyExtension("bar", bar, "2"), toyExtension("rival", inverting(4))]
  const answered = (...values: ReadonlyArray<string>) => verify(having(name, ...values), { extensions })

  it("are those of the answer, in its order", () => {
    for (const values of [["bar; level=2, foo; level=1"], ["bar; level=2", 'foo; level="1"']]) {
      const result = answered(...values)
      assert(result._tag === "Agreement")
      expect(result.codecs[0]).toBe(bar)
      expect(result.codecs[1]).toBe(foo)
      expect(result.codecs).toHaveLength(2)
      expect(result.extensions).toEqual([
        { name: "bar", parameters: [{ name: "level", value: "2" }] },
        { name: "foo", parameters: [{ name: "level", value: "1" }] }
      ])
    }
  })

  it("may all be declined", () => {
    expect(answered()).toMatchObject({ _tag: "Agreement", extensions: [], codecs: [] })
    expect(answered("")).toMatchObject({ _tag: "Agreement", extensions: [] })
  })

  it.each([
    ["foo; ", "is malformed"],
    ["foo; level=1 x", "is malformed"],
    ["baz", "has baz, which was not offered"],
    ["foo; level=1, baz", "has baz, which was not offered"],
    ["__proto__", "has __proto__, which was not offered"],
    ["foo; level=1, foo; level=1", "has foo twice"],
    ["foo", "has parameters of foo that do not answer the offer"],
    ["foo; level=2", "has parameters of foo that do not answer the offer"],
    ["foo; level=1, rival; level=1", "has extensions that use the same reserved bit, or none"]
  ])("are not taken where the answer is %j", (value, problem) => {
    expect(answered(value)).toEqual(bad(name, problem))
  })

  it("are not taken where none was offered", () => {
    expect(verify(having(name, "foo; level=1"))).toEqual(bad(name, "has foo, which was not offered"))
  })
})
