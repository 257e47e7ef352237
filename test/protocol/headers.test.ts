import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as headers from "../../src/protocol/headers.js"

const list: headers.HeaderList = [
  ["Host", "example.com"],
  ["ACCEPT", "a"],
  ["x-other", "b"],
  ["Accept", "c, d"],
  ["Accept-Language", "e"]
]

const tokenCharacters = [..."!#$%&'*+-.^_`|~09azAZ"]
const separators = [...'()<>@,;:\\"/[]?={} \t\r\n\0\x7f', "é", "€"]

const token = fc.string({ unit: fc.constantFrom(...tokenCharacters), minLength: 1, maxLength: 6 })

describe("headers.all and headers.only", () => {
  it("find every value of a header in order, whatever the case of its name", () => {
    expect(headers.all(list, "accept")).toEqual(["a", "c, d"])
    expect(headers.all(list, "host")).toEqual(["example.com"])
    expect(headers.all(list, "origin")).toEqual([])
  })

  it("give the only value, and none of several", () => {
    expect(headers.only(list, "host")).toBe("example.com")
    expect(headers.only(list, "accept")).toBeUndefined()
    expect(headers.only(list, "origin")).toBeUndefined()
  })

  it("find nothing by names that plain objects have", () => {
    expect(headers.all(list, "__proto__")).toEqual([])
    expect(headers.all([["__proto__", "x"]], "__proto__")).toEqual(["x"])
  })
})

describe("headers.isToken", () => {
  it.each([...tokenCharacters, "Sec-WebSocket-Key", "__proto__"])("takes %s", (text) => {
    expect(headers.isToken(text)).toBe(true)
  })

  it.each(["", ...separators])("refuses %j, alone and inside", (text) => {
    expect(headers.isToken(text)).toBe(false)
    if (text !== "") expect(headers.isToken(`a${text}b`)).toBe(false)
  })
})

describe("headers.isValue", () => {
  it.each(["", "a b\tc", " ", "~", "\x80ÿ"])("takes %j", (text) => {
    expect(headers.isValue(text)).toBe(true)
  })

  it.each(["\0", "\r", "\n", "\x08", "\x0a", "\x1f", "\x7f", "\u0100", "€", "\ud800"])("refuses %j", (text) => {
    expect(headers.isValue(text)).toBe(false)
    expect(headers.isValue(`a${text}`)).toBe(false)
    expect(headers.isValue(`${text}b`)).toBe(false)
  })
})

describe("headers.list", () => {
  it("puts the members of all lines together, without blanks and empty members", () => {
    expect(headers.list(["a, b", "", " ,c\t,,  d e ", ","])).toEqual(["a", "b", "c", "d e"])
    expect(headers.list([])).toEqual([])
  })

  it("takes spaces and tabs for blanks, and nothing else", () => {
    expect(headers.list(["\t a \t,\u00a0b\u00a0"])).toEqual(["a", "\u00a0b\u00a0"])
  })

  it("has a member whatever its case, but not a part of one", () => {
    expect(headers.listIncludes(["keep-alive", "x, UPGRADE"], "upgrade")).toBe(true)
    expect(headers.listIncludes(["upgraded", "up, grade", "not upgrade"], "upgrade")).toBe(false)
    expect(headers.listIncludes([], "upgrade")).toBe(false)
  })
})

const flag = (name: string) => ({ name, value: undefined })

describe("headers.parseExtensions", () => {
  it.each([
    [[], []],
    [[""], []],
    [["  \t"], []],
    [[" , ,, "], []],
    [["foo"], [{ name: "foo", parameters: [] }]],
    [[" foo "], [{ name: "foo", parameters: [] }]],
    [
      ["foo, bar,baz"],
      [
        { name: "foo", parameters: [] },
        { name: "bar", parameters: [] },
        { name: "baz", parameters: [] }
      ]
    ],
    [
      ["foo", ", bar ,", "baz"],
      [
        { name: "foo", parameters: [] },
        { name: "bar", parameters: [] },
        { name: "baz", parameters: [] }
      ]
    ],
    [["foo;a;b=1"], [{ name: "foo", parameters: [flag("a"), { name: "b", value: "1" }] }]],
    [["foo \t; a ; b = 1 ,"], [{ name: "foo", parameters: [flag("a"), { name: "b", value: "1" }] }]],
    [
      ['foo; a="x"; b="y\\z"'],
      [
        {
          name: "foo",
          parameters: [
            { name: "a", value: "x" },
            { name: "b", value: "yz" }
          ]
        }
      ]
    ],
    [["foo; a; a=1"], [{ name: "foo", parameters: [flag("a"), { name: "a", value: "1" }] }]],
    [["__proto__; constructor=1"], [{ name: "__proto__", parameters: [{ name: "constructor", value: "1" }] }]]
  ])("reads %j", (values, expected) => {
    expect(headers.parseExtensions(values)).toEqual(expected)
  })

  it.each([
    "foo bar",
    "foo;",
    "foo; ,bar",
    "foo; =1",
    "foo; a=",
    "foo; a=,bar",
    "foo; a==1",
    "foo; a=b c",
    "foo; a b",
    "=foo",
    ";foo",
    "foo=1",
    '"foo"',
    'foo; a="',
    'foo; a="x',
    'foo; a="x\\',
    'foo; a="x\\"',
    'foo; a=""',
    'foo; a="x y"',
    'foo; a="x\\,y"',
    'foo; a="x"y',
    'foo; "a"=x',
    "foo; a='x y'",
    "foo/bar",
    "föö",
    "foo\0",
    "foo\r\nbar"
  ])("refuses %j, also behind and before what is well formed", (text) => {
    expect(headers.parseExtensions([text])).toBeUndefined()
    expect(headers.parseExtensions(["good; a=1", text])).toBeUndefined()
    expect(headers.parseExtensions([text, "good"])).toBeUndefined()
  })

  it("reads what formatExtension writes", () => {
    const parameter = fc.record({ name: token, value: fc.option(token, { nil: undefined }) })
    const entry = fc.record({ name: token, parameters: fc.array(parameter, { maxLength: 3 }) })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 3 }), (entries) => {
        const text = entries.map(({ name, parameters }) => headers.formatExtension(name, parameters)).join(", ")
        expect(headers.parseExtensions([text])).toEqual(entries)
      })
    )
  })

  it("ends without a throw, whatever the text", () => {
    const piece = fc.constantFrom(...'a=;,"\\ \t', "\0", "é")
    fc.assert(
      fc.property(fc.array(fc.string({ unit: piece, maxLength: 12 }), { maxLength: 3 }), (values) => {
        for (const { name, parameters } of headers.parseExtensions(values) ?? []) {
          expect(headers.isToken(name)).toBe(true)
          for (const parameter of parameters) {
            expect(headers.isToken(parameter.name)).toBe(true)
            expect(headers.isToken(parameter.value ?? "none")).toBe(true)
          }
        }
      }),
      { numRuns: 500 }
    )
  })

  it.each([
    ["blanks", `foo${" ".repeat(200_000)}x`],
    ["commas", `${",".repeat(200_000)};`],
    ["parameters", `${"foo;a".repeat(40_000)};`],
    ["an open quotation", `foo; a="${"x".repeat(200_000)}`],
    ["backslashes", `foo; a="${"\\".repeat(200_001)}`]
  ])("refuses 200,000 characters of %s in linear time", (_, text) => {
    const start = performance.now()
    expect(headers.parseExtensions([text])).toBeUndefined()
    // Quadratic work would take minutes.
    expect(performance.now() - start).toBeLessThan(2000)
  })
})

describe("headers.formatExtension", () => {
  it("writes parameters with and without a value, in order", () => {
    expect(headers.formatExtension("foo", [])).toBe("foo")
    expect(headers.formatExtension("foo", [flag("a"), { name: "b", value: "1" }])).toBe("foo; a; b=1")
  })
})

describe("H2: headers.parseSubprotocols", () => {
  it("reads the tokens of all lines in order", () => {
    expect(headers.parseSubprotocols(["chat, superchat", "v1.example.com"])).toEqual([
      "chat",
      "superchat",
      "v1.example.com"
    ])
    expect(headers.parseSubprotocols([])).toEqual([])
    expect(headers.parseSubprotocols(["chat,,Chat,"])).toEqual(["chat", "Chat"])
  })

  it.each([[["a b"]], [["a, b/c"]], [['"a"']], [["a\0"]], [["é"]], [["a, a"]], [["a", "a"]]])(
    "refuses %j",
    (values) => {
      expect(headers.parseSubprotocols(values)).toBeUndefined()
    }
  )
})
