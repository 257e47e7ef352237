import { createHash } from "node:crypto"
import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import { loadNative, loadPortable } from "./helpers.js"

const load = () => import("../../src/protocol/sha1.js")
const native = await loadNative(load)
const portable = await loadPortable(load)

const expected = (text: string) => createHash("sha1").update(text).digest("base64")

describe.each([
  ["with Node's crypto", native.sha1],
  ["written out", portable.sha1]
])("SHA-1, %s", (_, digest) => {
  it.each([
    ["", "da39a3ee5e6b4b0d3255bfef95601890afd80709"],
    ["abc", "a9993e364706816aba3e25717850c26c9cd0d89d"],
    ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"],
    ["a".repeat(1000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"]
  ])("is that of RFC 3174 and of others for %s", (text, hex) => {
    expect(Buffer.from(digest(text), "base64").toString("hex")).toBe(hex)
  })

  it("answers the key of RFC 6455 §1.3", () => {
    expect(digest("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11")).toBe("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  })

  it("is Node's for each length up to three blocks", () => {
    for (let length = 0; length <= 200; length++) {
      const text = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(6).slice(0, length)
      expect(digest(text)).toBe(expected(text))
    }
  })

  it("is Node's for any ASCII", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 150 }), (text) => {
        expect(digest(text)).toBe(expected(text))
      })
    )
  })
})

describe("SHA-1", () => {
  it("is written out only where the runtime has none", () => {
    expect(portable.sha1).toBe(portable.sha1Portable)
    expect(native.sha1).not.toBe(native.sha1Portable)
  })
})
