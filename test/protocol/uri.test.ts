import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import * as uri from "../../src/protocol/uri.js"

describe("uri.parse", () => {
  it.each([
    ["ws://example.com", false, "example.com", 80, "/"],
    ["wss://example.com", true, "example.com", 443, "/"],
    ["ws://example.com:443/", false, "example.com", 443, "/"],
    ["wss://example.com:80/", true, "example.com", 80, "/"],
    ["ws://example.com:8765/chat?room=1&x", false, "example.com", 8765, "/chat?room=1&x"],
    ["WSS://EXAMPLE.com/Path", true, "example.com", 443, "/Path"],
    ["ws://[::1]:9000/", false, "[::1]", 9000, "/"],
    ["ws://bücher.example/ü?ü", false, "xn--bcher-kva.example", 80, "/%C3%BC?%C3%BC"],
    ["ws://example.com/%23", false, "example.com", 80, "/%23"],
    ["ws://example.com?", false, "example.com", 80, "/"]
  ])("C1: reads %s", (text, secure, hostname, port, target) => {
    const expected = { secure, hostname, port, target, credentials: undefined }
    expect(uri.parse(text)).toEqual(expected)
    expect(uri.parse(new URL(text))).toEqual(expected)
  })

  it.each([
    ["ws://user:secret@example.com/", { username: "user", password: "secret" }],
    ["ws://user@example.com/", { username: "user", password: "" }],
    ["ws://:secret@example.com/", { username: "", password: "secret" }],
    ["ws://a%40b:%C3%BC%3A@example.com/", { username: "a@b", password: "ü:" }]
  ])("C1: decodes the credentials of %s", (text, credentials) => {
    expect(uri.parse(text)).toMatchObject({ hostname: "example.com", credentials })
  })

  it.each([
    ["", "it is not an absolute URI"],
    ["/chat", "it is not an absolute URI"],
    ["ws://", "it is not an absolute URI"],
    ["ws://:80/", "it is not an absolute URI"],
    ["ws://example.com:65536/", "it is not an absolute URI"],
    ["ws://exa mple/", "it is not an absolute URI"],
    ["http://example.com/", "its scheme is http: use ws for the same server"],
    ["https://example.com/", "its scheme is https: use wss for the same server"],
    ["ftp://example.com/", "its scheme is ftp, not ws or wss"],
    ["localhost:8765", "its scheme is localhost, not ws or wss"],
    ["ws://example.com/#top", "it has a fragment, which a WebSocket URI must not"],
    ["ws://example.com/#", "it has a fragment, which a WebSocket URI must not"],
    ["ws://%25:x@example.com/%", undefined],
    ["ws://%ff:x@example.com/", "its user information is not percent-encoded UTF-8"],
    ["ws://x:%zz@example.com/", "its user information is not percent-encoded UTF-8"],
    [
      "ws://a%3Ab:x@example.com/",
      "its user information has a colon in the user name, where Basic authentication would end it"
    ],
    ["ws://a:x%0D%0Ay@example.com/", "its user information has control characters"]
  ])("C1: says what is wrong with %j", (text, problem) => {
    const parsed = uri.parse(text)
    expect(typeof parsed === "string" ? parsed : undefined).toBe(problem)
  })

  it("C1: never has an empty host, a line break in its target, or a throw", () => {
    const scheme = fc.constantFrom("ws:", "wss:", "ws:/", "ws://", "wss://@", "ws://:", "")
    fc.assert(
      fc.property(scheme, fc.string({ unit: "binary", maxLength: 20 }), (start, rest) => {
        const parsed = uri.parse(start + rest)
        if (typeof parsed === "string") return
        expect(parsed.hostname).not.toBe("")
        expect(parsed.target).toMatch(/^\/[!-~]*$/)
      })
    )
  })
})

describe("uri.basic", () => {
  it.each([
    ["Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
    // RFC 7617 §2.1 has this one.
    ["test", "123£", "dGVzdDoxMjPCow=="],
    ["", "", "Og=="]
  ])("C1: of %j and %j is UTF-8 in base64", (username, password, expected) => {
    expect(uri.basic({ username, password })).toBe(`Basic ${expected}`)
  })

  it("C1: takes a password of any length", () => {
    const password = "x".repeat(1_000_000)
    expect(atob(uri.basic({ username: "a", password }).slice(6))).toBe(`a:${password}`)
  })
})

describe("uri.authority", () => {
  it.each([
    ["ws://example.com:80/", "example.com"],
    ["wss://example.com:443/", "example.com"],
    ["ws://example.com:443/", "example.com:443"],
    ["wss://example.com:80/", "example.com:80"],
    ["ws://[::1]:8765/", "[::1]:8765"]
  ])("C1: of %s is %s: the port stands there only where it is not the scheme's own", (text, expected) => {
    const parsed = uri.parse(text)
    expect(typeof parsed === "string" ? parsed : uri.authority(parsed)).toBe(expected)
  })
})
