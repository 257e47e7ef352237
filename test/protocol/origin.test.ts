import { describe, expect, it } from "vitest"
import { isSameOrigin } from "../../src/protocol/origin.js"

describe("H4: isSameOrigin", () => {
  it.each([
    ["http://example.com", "example.com"],
    ["https://example.com", "example.com"],
    ["https://example.com", "EXAMPLE.com:443"],
    ["https://example.com", "example.com:80"],
    ["http://example.com", "example.com:443"],
    ["http://example.com:80", "example.com"],
    ["http://example.com:443", "example.com"],
    ["https://example.com:80", "example.com"],
    ["http://example.com:8765", "example.com:8765"],
    ["http://[::1]:8765", "[0:0::1]:8765"],
    ["http://127.0.0.1", "127.0.0.1"],
    ["https://xn--bcher-kva.example", "bücher.example"]
  ])("lets a page of %s in at %s", (origin, host) => {
    expect(isSameOrigin(origin, host)).toBe(true)
  })

  it.each([
    ["https://evil.example", "example.com"],
    ["https://example.com.evil.example", "example.com"],
    ["https://evilexample.com", "example.com"],
    ["https://sub.example.com", "example.com"],
    ["https://example.com", "sub.example.com"],
    ["https://example.com@evil.example", "example.com"],
    ["https://example.com:8443", "example.com"],
    ["https://example.com", "example.com:8443"],
    ["https://example.com:8443", "example.com:8444"],
    ["https://example.com:1443", "example.com:1"],
    ["https://example.com:8080", "example.com:80"],
    ["https://example.com:4431", "example.com1"],
    ["http://[::80]", "[::]"],
    ["null", "null"],
    ["", "example.com"],
    ["example.com", "example.com"],
    ["file:///index.html", "example.com"],
    ["file://example.com", "example.com"],
    ["ftp://example.com", "example.com"],
    ["https://example.com", ""],
    ["https://example.com", "exa mple.com"]
  ])("keeps a page of %j out at %j", (origin, host) => {
    expect(isSameOrigin(origin, host)).toBe(false)
  })
})
