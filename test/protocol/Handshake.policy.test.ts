import { describe, expect, it } from "vitest"
import type { Extension } from "../../src/protocol/Extension.js"
import * as Handshake from "../../src/protocol/Handshake.js"
import { inverting, toyExtension } from "./helpers.js"
import { agreed, answer, having, required, status } from "./requests.js"

describe("H4: Handshake.answer, origins", () => {
  const from = (...origins: ReadonlyArray<string>): Handshake.HeaderList => [
    ...required,
    ...origins.map((origin) => ["Origin", origin] as const)
  ]
  const refusal = Handshake.rejection(403, "Pages of this origin may not connect here.")

  it("lets in who sends none, as no browser does", () => {
    expect(status(answer(from()))).toBe(101)
    expect(status(answer(from(), { origins: [] }))).toBe(101)
  })

  it("lets in the pages of its own host, and no other", () => {
    expect(status(answer(from("https://example.com")))).toBe(101)
    expect(status(answer(from("http://example.com:80")))).toBe(101)
    expect(answer(from("https://example.org"))).toEqual(refusal)
    expect(answer(from("https://example.com:8443"))).toEqual(refusal)
    expect(answer(from("null"))).toEqual(refusal)
    expect(answer(from(""))).toEqual(refusal)
  })

  it("refuses every origin where it does not know its own host", () => {
    expect(answer([...having("Host"), ["Origin", "https://example.com"]])).toEqual(refusal)
  })

  it("refuses two origins", () => {
    expect(answer(from("https://example.com", "https://example.com"))).toEqual(refusal)
    expect(answer(from("https://a.example", "https://a.example"), { origins: ["https://a.example"] })).toEqual(refusal)
  })

  it("lets in what is listed, and its own host no more", () => {
    const origins = ["https://a.example", /^https:\/\/\w+\.b\.example$/]
    expect(status(answer(from("https://a.example"), { origins }))).toBe(101)
    expect(status(answer(from("https://x.b.example"), { origins }))).toBe(101)
    for (const origin of [
      "https://example.com",
      "http://a.example",
      "https://a.example.org",
      "https://b.example",
      "null"
    ]) {
      expect(answer(from(origin), { origins })).toEqual(refusal)
    }
    expect(answer(from("https://example.com"), { origins: [] })).toEqual(refusal)
  })

  it("lets in null where it is listed as null", () => {
    expect(status(answer(from("null"), { origins: [null] }))).toBe(101)
    expect(answer(from("https://a.example"), { origins: [null] })).toEqual(refusal)
  })

  it("lets a pattern that remembers where it was match every time", () => {
    const origins = [/^https:\/\/a\.example$/g]
    for (let i = 0; i < 3; i++) expect(status(answer(from("https://a.example"), { origins }))).toBe(101)
  })

  it("wants a pattern to match all of an origin", () => {
    const origins = [/https:\/\/a\.example/, /b|https:\/\/b\.example/]
    expect(status(answer(from("https://a.example"), { origins }))).toBe(101)
    expect(status(answer(from("https://b.example"), { origins }))).toBe(101)
    expect(answer(from("https://a.example.evil.net"), { origins })).toEqual(refusal)
    expect(answer(from("https://evil.net/https://a.example"), { origins })).toEqual(refusal)
  })

  it("lets in everybody where that is asked for by its dangerous name", () => {
    const policy = { dangerouslyAcceptAnyOrigin: true, origins: [] }
    expect(status(answer(from("https://evil.example"), policy))).toBe(101)
    expect(status(answer(from("null", "null"), policy))).toBe(101)
    expect(answer(from("https://evil.example"), { dangerouslyAcceptAnyOrigin: false })).toEqual(refusal)
  })
})

describe("H5: Handshake.answer, subprotocols", () => {
  const offering = (...values: ReadonlyArray<string>): Handshake.HeaderList => [
    ...required,
    ...values.map((value) => ["Sec-WebSocket-Protocol", value] as const)
  ]
  const chosen = (headers: Handshake.HeaderList, subprotocols?: Handshake.ServerPolicy["subprotocols"]) => {
    const { subprotocol, response } = agreed(headers, { subprotocols })
    const said = response.headers.filter(([name]) => name === "Sec-WebSocket-Protocol").map(([, value]) => value)
    expect(said).toEqual(subprotocol === undefined ? [] : [subprotocol])
    return subprotocol
  }

  it("has none where the server speaks none", () => {
    expect(chosen(offering("chat"))).toBeUndefined()
  })

  it("is the server's first choice of what is offered, in any line", () => {
    expect(chosen(offering("a, b", "c"), ["x", "c", "a"])).toBe("c")
    expect(chosen(offering("a"), ["x", "c", "a"])).toBe("a")
  })

  it("never says one that was not offered, whatever a function chooses", () => {
    const refusal = Handshake.rejection(500, "The server chose a subprotocol that was not offered.")
    expect(answer(offering("a"), { subprotocols: () => "b" })).toEqual(refusal)
    expect(answer(offering(), { subprotocols: () => "a\r\nEvil: 1" })).toEqual(refusal)
  })

  it("is refused with 400 where none is spoken by both, or none is offered", () => {
    const refusal = Handshake.rejection(400, "A subprotocol is needed, one of: x, y.")
    expect(answer(offering("a, X"), { subprotocols: ["x", "y"] })).toEqual(refusal)
    expect(answer(offering(), { subprotocols: ["x", "y"] })).toEqual(refusal)
  })

  it("goes on without one where that is allowed, and with one where it can", () => {
    const optional = (headers: Handshake.HeaderList) =>
      agreed(headers, { subprotocols: ["x", "y"], subprotocolOptional: true }).subprotocol
    expect(optional(offering("a, X"))).toBeUndefined()
    expect(optional(offering())).toBeUndefined()
    expect(optional(offering("a, y"))).toBe("y")
  })

  it("is what a function says of those offered, and none where it says so", () => {
    expect(chosen(offering("a, b"), (offered) => offered.at(-1))).toBe("b")
    expect(chosen(offering(), (offered) => offered.at(-1))).toBeUndefined()
    expect(chosen(offering("a"), () => undefined)).toBeUndefined()
  })

  it.each([[["a b"]], [["a, a"]], [["a", "a"]], [['"a"']], [["a/b"]]])(
    "H2: is refused with 400 for the offers %j",
    (values) => {
      const refusal = Handshake.rejection(400, "Sec-WebSocket-Protocol must be a list of different tokens.")
      expect(answer(offering(...values))).toEqual(refusal)
      expect(answer(offering(...values), { subprotocols: ["a"] })).toEqual(refusal)
    }
  )
})

describe("D7: Handshake.answer, extensions", () => {
  const foo = inverting(4)
  const bar = inverting(2)
  const rival = inverting(4)
  const extensions: ReadonlyArray<Extension> = [
    toyExtension("foo", foo, "1"),
    toyExtension("bar", bar, "2"),
    toyExtension("rival", rival, "3")
  ]
  const negotiate = (...values: ReadonlyArray<string>) => {
    const headers = values.map((value) => ["Sec-WebSocket-Extensions", value] as const)
    const { codecs, response, extensions: entries } = agreed([...required, ...headers], { extensions })
    const said = response.headers.filter(([name]) => name === "Sec-WebSocket-Extensions").map(([, value]) => value)
    return { codecs, said, names: entries.map(({ name }) => name) }
  }
  const nothing = { codecs: [], said: [], names: [] }

  it("are none without an offer", () => {
    expect(negotiate()).toEqual(nothing)
    expect(negotiate("")).toEqual(nothing)
  })

  it("are agreed in the client's order, with the server's answers", () => {
    const result = negotiate("bar; level=2", "foo; level=1")
    expect(result.said).toEqual(["bar; level=2, foo; level=1"])
    expect(result.names).toEqual(["bar", "foo"])
    expect(result.codecs[0]).toBe(bar)
    expect(result.codecs[1]).toBe(foo)
  })

  it.each(["baz", "foo", "foo; level=9", "foo; level=1; more", "FOO; level=1", "__proto__", "constructor"])(
    "are declined without a word: %s",
    (offer) => {
      expect(negotiate(offer)).toEqual(nothing)
      expect(negotiate(offer, "bar; level=2").names).toEqual(["bar"])
    }
  )

  it("are agreed once each, by the first offer that can be accepted", () => {
    expect(negotiate("foo; level=9, foo; level=1, foo; level=1").said).toEqual(["foo; level=1"])
  })

  it("are agreed once each, whatever bits a second answer would have", () => {
    const bits = [4, 2]
    const shifting: Extension = {
      ...toyExtension("foo", foo),
      answer: (parameters) => ({ parameters, codec: inverting(bits.shift() ?? 1) })
    }
    const headers: Handshake.HeaderList = [...required, ["Sec-WebSocket-Extensions", "foo; a, foo; b"]]
    const { extensions, codecs } = agreed(headers, { extensions: [shifting] })
    expect(extensions).toEqual([{ name: "foo", parameters: [{ name: "a", value: undefined }] }])
    expect(codecs.map(({ rsv }) => rsv)).toEqual([4])
  })

  it("are declined where they want a bit that is already given away", () => {
    expect(negotiate("foo; level=1, rival; level=3, bar; level=2").names).toEqual(["foo", "bar"])
    expect(negotiate("rival; level=3, foo; level=1").names).toEqual(["rival"])
  })

  it.each(["foo; ", "foo bar", 'foo; level="', "foo; level=1 x"])("are refused with 400 for the offer %j", (offer) => {
    const headers: Handshake.HeaderList = [...required, ["Sec-WebSocket-Extensions", offer]]
    const refusal = Handshake.rejection(400, "Sec-WebSocket-Extensions is malformed.")
    expect(answer(headers, { extensions })).toEqual(refusal)
    expect(answer(headers)).toEqual(refusal)
  })
})
