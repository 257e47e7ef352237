import { describe, expect, it } from "vitest"
import * as Handshake from "../../src/protocol/Handshake.js"
import { accept, answer, having, key, request, required, status } from "./requests.js"

describe("Handshake.acceptKey", () => {
  it("is that of RFC 6455 §1.3", () => {
    expect(Handshake.acceptKey(key)).toBe(accept)
  })
})

describe("H2: Handshake.rejection", () => {
  it("tells a person what to do, in text", () => {
    expect(Handshake.rejection(503, "Come back later.", ["Retry-After", "5"])).toEqual({
      _tag: "Rejection",
      isLast: true,
      status: 503,
      headers: [
        ["Content-Type", "text/plain; charset=utf-8"],
        ["Retry-After", "5"]
      ],
      body: "Come back later.\n"
    })
  })
})

describe("H2: Handshake.checkRequest", () => {
  const check = (headers: Handshake.HeaderList, change?: Partial<Handshake.RequestHead>) =>
    status(Handshake.checkRequest(request(headers, change)))

  it.each(["example.com", "example.com:8765", "127.0.0.1", "[::1]:80", "localhost:", "EXAMPLE.com", "a-b_c.example"])(
    "takes the host %s",
    (host) => {
      expect(check(having("Host", host))).toBeUndefined()
    }
  )

  it.each([
    "",
    " ",
    "exa mple.com",
    "user@example.com",
    "example.com/path",
    "example.com?",
    "example.com#",
    "example.com\\",
    "example.com:99999",
    "example.com:port",
    "[::1",
    "a\0b",
    "a\tb",
    "example.com, example.org"
  ])("refuses the host %j with 400", (host) => {
    expect(Handshake.checkRequest(request(having("Host", host)))).toEqual(
      Handshake.rejection(400, "The Host header is malformed. Send a host name, with a port if needed.")
    )
  })

  it("refuses none or two hosts with 400", () => {
    const refusal = Handshake.rejection(400, "Exactly one Host header is needed. Send one.")
    expect(Handshake.checkRequest(request(having("Host")))).toEqual(refusal)
    expect(Handshake.checkRequest(request(having("Host", "example.com", "example.com")))).toEqual(refusal)
  })

  it("lets HTTP/1.0 do without a host, but not with two or a bad one", () => {
    expect(check([], { version: "1.0" })).toBeUndefined()
    expect(check(having("Host", "a b"), { version: "1.0" })).toBe(400)
    expect(check(having("Host", "a", "b"), { version: "1.0" })).toBe(400)
    expect(check([], { version: "2" })).toBe(400)
  })

  it("takes a target of 8,190 bytes and refuses a longer one with 414", () => {
    expect(check(required, { target: `/${"x".repeat(8189)}` })).toBeUndefined()
    expect(Handshake.checkRequest(request(required, { target: `/${"x".repeat(8190)}` }))).toEqual(
      Handshake.rejection(414, "The request target is longer than 8190 bytes. Shorten the URL.")
    )
  })

  it("takes a header line of 8,190 bytes and refuses a longer one with 431", () => {
    // Name, colon, blank, value and line break.
    const line = (size: number): Handshake.HeaderList => [...required, ["X-Long", "x".repeat(size - 6 - 4)]]
    expect(check(line(8190))).toBeUndefined()
    expect(Handshake.checkRequest(request(line(8191)))).toEqual(
      Handshake.rejection(431, "A header of the request is longer than 8190 bytes. Shorten it.")
    )
    expect(check([...required, ["x".repeat(8187), ""]])).toBe(431)
  })

  it("takes 128 headers and refuses 129 with 431", () => {
    const many = (count: number): Handshake.HeaderList => [
      ...required,
      ...Array.from({ length: count - required.length }, () => ["X", ""] as const)
    ]
    expect(check(many(128))).toBeUndefined()
    expect(Handshake.checkRequest(request(many(129)))).toEqual(
      Handshake.rejection(431, "The request has more than 128 headers. Send fewer.")
    )
  })

  it("takes a head of 16 KiB and refuses a larger one with 431", () => {
    const start = "GET / HTTP/1.1\r\nHost: example.com\r\n".length
    const fill = (size: number): Handshake.HeaderList => [
      ["Host", "example.com"],
      ["A", "x".repeat(8000)],
      ["B", "x".repeat(8000)],
      ["C", "x".repeat(size - start - 2 * 8005 - 5)]
    ]
    expect(check(fill(16_384))).toBeUndefined()
    expect(Handshake.checkRequest(request(fill(16_385)))).toEqual(
      Handshake.rejection(431, "The request's headers exceed 16384 bytes. Send less.")
    )
    expect(check(fill(16_384), { target: "/x" })).toBe(431)
    expect(check(fill(16_384), { method: "POST" })).toBe(431)
  })
})

describe("H2: Handshake.isUpgrade", () => {
  it("asks for a member websocket of Upgrade, and for nothing else", () => {
    expect(Handshake.isUpgrade(request([["upgrade", "h2c, WebSocket"]], { method: "POST", version: "1.0" }))).toBe(true)
    expect(Handshake.isUpgrade(request(having("Upgrade")))).toBe(false)
    expect(Handshake.isUpgrade(request(having("Upgrade", "websockets")))).toBe(false)
  })
})

const upgrade: Handshake.HeaderList = [
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"]
]
const version: Handshake.HeaderList = [...upgrade, ["Sec-WebSocket-Version", "13"]]

describe("H2: Handshake.answer", () => {
  it("opens a WebSocket, as in RFC 6455 §1.3", () => {
    expect(answer(required)).toEqual({
      _tag: "Agreement",
      response: { status: 101, headers: [...upgrade, ["Sec-WebSocket-Accept", accept]] },
      subprotocol: undefined,
      extensions: [],
      codecs: []
    })
  })

  it.each([
    ["names in any case", required.map(([name, value]) => [name.toLowerCase(), value] as const)],
    ["WebSocket in any case", having("Upgrade", "WebSocket")],
    ["other members of Upgrade", having("Upgrade", "h2c, websocket")],
    ["other members of Connection", having("Connection", "keep-alive, UPGRADE")],
    ["two lines of Connection", having("Connection", "keep-alive", "upgrade")],
    ["a length of no body", [...required, ["Content-Length", "0"]]],
    ["blanks around the version", having("Sec-WebSocket-Version", " 13 ")]
  ] as ReadonlyArray<[string, Handshake.HeaderList]>)("takes %s", (_, headers) => {
    expect(status(answer(headers))).toBe(101)
  })

  it("refuses HTTP/1.0 with 505, before anything else", () => {
    expect(Handshake.answer(request([], { version: "1.0", method: "POST" }), {})).toEqual(
      Handshake.rejection(505, "A WebSocket needs HTTP/1.1 or later. Use that version.")
    )
  })

  it.each(["POST", "HEAD", "get", "CONNECT"])("refuses the method %s with 405 and says which is allowed", (method) => {
    expect(Handshake.answer(request(required, { method }), {})).toEqual(
      Handshake.rejection(405, `A WebSocket is asked for with GET, not with ${method}.`, ["Allow", "GET"])
    )
  })

  it.each([
    ["no Upgrade", having("Upgrade"), "This is a WebSocket server. Connect with a WebSocket client."],
    ["another Upgrade", having("Upgrade", "h2c"), "This is a WebSocket server. Connect with a WebSocket client."],
    ["no Connection", having("Connection"), "The Connection header has no 'upgrade'. Connect with a WebSocket client."],
    [
      "another Connection",
      having("Connection", "keep-alive"),
      "The Connection header has no 'upgrade'. Connect with a WebSocket client."
    ]
  ])("refuses %s with 426 and says what to upgrade to", (_, headers, body) => {
    expect(answer(headers)).toEqual(Handshake.rejection(426, body, ...upgrade))
  })

  it.each([[[]], [["8"]], [["13, 8"]], [["13", "13"]], [["013"]], [["14"]], [[""]]])(
    "refuses the versions %j with 426 and says which it speaks",
    (versions) => {
      expect(answer(having("Sec-WebSocket-Version", ...versions))).toEqual(
        Handshake.rejection(426, "Only version 13 of the protocol is spoken here.", ...version)
      )
    }
  )

  it.each([
    ["Content-Length", "1"],
    ["Content-Length", "x"],
    ["Content-Length", "00"],
    ["content-length", ""],
    ["Transfer-Encoding", "chunked"],
    ["Transfer-Encoding", "identity"]
  ])("refuses a body with 400: %s: %j", (name, value) => {
    const refusal = Handshake.rejection(400, "A request for a WebSocket has no body. Send it without one.")
    expect(answer([...required, [name, value]])).toEqual(refusal)
    expect(answer([...required, ["Content-Length", "0"], [name, value]])).toEqual(refusal)
  })

  it.each([
    [[]],
    [[key, key]],
    [[""]],
    [["dGhlIHNhbXBsZSBub25jZQ="]],
    [["dGhlIHNhbXBsZSBub25jZQ==="]],
    [["dGhlIHNhbXBsZSBub25jZR=="]],
    [["dGhlIHNhbXBsZSBub25j"]],
    [["dGhlIHNhbXBsZSBub25jZSBtb3Jl"]],
    [["dGhlIHNhbXBsZSBub25j_Q=="]],
    [[` ${key}`]],
    [[`${key}\n`]]
  ])("refuses the keys %j with 400", (keys) => {
    expect(answer(having("Sec-WebSocket-Key", ...keys))).toEqual(
      Handshake.rejection(400, "Sec-WebSocket-Key must be there once and hold 16 bytes in base64.")
    )
  })

  it.each([
    "AAAAAAAAAAAAAAAAAAAAAA==",
    "++++++++++++++++++++/w==",
    "zzzzzzzzzzzzzzzzzzzzzg==",
    "012345678901234567890Q=="
  ])("takes the key %s", (value) => {
    expect(status(answer(having("Sec-WebSocket-Key", value)))).toBe(101)
  })
})
