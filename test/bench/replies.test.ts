import { assert, describe, it } from "vitest"
import { makeFrames, maskedReply, repeat } from "../../bench/frames.js"
import { lastBitFlipped } from "../../bench/lies.js"
import { DeflatedReplies, MaskedReplies, type Replies, SameReplies } from "../../bench/replies.js"
import { workloadNamed } from "../../bench/workloads.js"

const framesOf = (name: string) => {
  const workload = workloadNamed(name)
  if (!("message" in workload)) throw new Error(`${name} has no messages`)
  return makeFrames(workload)
}

/** Fed in pieces of so many bytes: the sum, or the first complaint. */
const countOf = (replies: Replies, bytes: Buffer, size: number): number | string => {
  let sum = 0
  for (let at = 0; at < bytes.length; at += size) {
    const piece = Buffer.from(bytes.subarray(at, at + size))
    const count = replies.count(piece, piece.length)
    if (typeof count === "string") return count
    sum += count
  }
  return sum
}

const sizes = [1, 7, 1_000, 1_000_000]

describe("replies", () => {
  const echo = framesOf("P3")
  const same = (onPing: (payload: Buffer) => void = () => {}) =>
    new SameReplies(repeat(echo.reply, 20_000), echo.reply.length, onPing)

  it("that are the same are counted however they are cut", () => {
    for (const size of sizes) assert.strictEqual(countOf(same(), repeat(echo.reply, 10), size), 10)
  })

  it("that differ in one bit, or are masked, are seen", () => {
    for (const size of sizes) {
      for (const wrong of [lastBitFlipped(echo.reply), maskedReply(echo)]) {
        assert.match(String(countOf(same(), Buffer.concat([echo.reply, wrong]), size)), /^one differs at byte \d+/)
      }
    }
  })

  it("may have pings between them, but not within", () => {
    const ping = Buffer.from([0x89, 2, 7, 8])
    const pings: Array<string> = []
    const between = Buffer.concat([echo.reply, ping, echo.reply, echo.reply, ping])
    assert.strictEqual(
      countOf(
        same((payload) => pings.push(payload.toString("hex"))),
        between,
        between.length
      ),
      3
    )
    assert.deepStrictEqual(pings, ["0708", "0708"])
    const within = Buffer.concat([echo.reply.subarray(0, 9), ping])
    assert.include(String(countOf(same(), within, within.length)), "one differs at byte 9")
  })

  it("that are compressed otherwise are inflated and compared", () => {
    const frames = framesOf("P10")
    for (const size of sizes) {
      assert.strictEqual(countOf(new DeflatedReplies(frames), repeat(frames.reply, 3), size), 3)
      assert.isString(countOf(new DeflatedReplies(frames), lastBitFlipped(frames.reply), size))
    }
  })

  it("of a client are unmasked and compared, and counted by bursts", () => {
    for (const name of ["P12/send/64", "P12/send/16K", "P12/receive/64"]) {
      const frames = framesOf(name)
      const honest = maskedReply(frames)
      const wrongKey = Buffer.from(honest)
      const keyAt = honest.length / frames.replyFrames - frames.content.length - 4
      wrongKey[keyAt] = (wrongKey[keyAt] ?? 0) ^ 1
      for (const size of [11, 1_000_000]) {
        assert.strictEqual(countOf(new MaskedReplies(frames), repeat(honest, 2), size), 2, name)
        for (const wrong of [frames.reply, lastBitFlipped(honest), wrongKey]) {
          assert.match(String(countOf(new MaskedReplies(frames), wrong, size)), /^one (begins|says)/, name)
        }
      }
    }
  })
})

describe("mixed text", () => {
  it("has characters of one to four bytes, and a sum that only a decoder knows", () => {
    const { content, request } = framesOf("P11")
    const workload = workloadNamed("P11")
    assert.isTrue(workload.kind === "receive" && request.length > workload.every * workload.message.bytes)
    const text = new TextDecoder("utf-8", { fatal: true }).decode(
      Buffer.from(request.subarray(8, 8 + 16_384).map((byte, i) => byte ^ (request[4 + (i & 3)] ?? 0)))
    )
    for (const character of ["a", "ç", "日", "🚀"]) assert.include(text, character)
    assert.strictEqual(content.toString(), String(4 * text.length))
    assert.notStrictEqual(text.length, 16_384)
  })
})
