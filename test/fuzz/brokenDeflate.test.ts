import { assert, describe, it, vi } from "vitest"
import * as NodeDeflate from "../../src/node/NodeDeflate.js"
import type { Extension, Parameters } from "../../src/protocol/Extension.js"
import { FrameDecoder } from "../../src/protocol/FrameDecoder.js"
import * as PerMessageDeflate from "../../src/protocol/PerMessageDeflate.js"
import { compressing } from "./connection.js"
import { deflateMode } from "./deflate.js"
import type { Mode } from "./mode.js"
import { negotiationMode } from "./negotiation.js"
import { run } from "./run.js"
import { wsDeflateMode } from "./wsDeflate.js"

/** The fuzzer itself, where messages are compressed: faults that are put in on purpose are found. */

const problems = async (mode: Mode): Promise<ReadonlyArray<string>> => {
  const { finds } = await run(mode, { seconds: 8, seed: 7, first: true })
  return finds.map(({ problem }) => problem)
}

type Inflate = PerMessageDeflate.Inflater["inflate"]

/** Node's compressors with another `inflate`, made from the right one. */
const inflating = (change: (inflate: Inflate) => Inflate): PerMessageDeflate.Service => ({
  deflater: NodeDeflate.service.deflater,
  inflater: (options) => {
    const inflater = NodeDeflate.service.inflater(options)
    return { inflate: change((data, limit) => inflater.inflate(data, limit)), end: () => inflater.end() }
  }
})

/** Leaves the last byte of a message away. */
const short = (result: Uint8Array | PerMessageDeflate.Fault) =>
  typeof result === "string" || result.length < 2 ? result : result.subarray(0, -1)

const losing = inflating((inflate) => (data, limit) => {
  const result = inflate(data, limit)
  return typeof result === "function" ? result : short(result)
})

const losingLater = inflating((inflate) => (data, limit) => {
  const result = inflate(data, limit)
  return typeof result === "function" ? (done) => result((later) => done(short(later))) : result
})

describe("a broken inflater is found", () => {
  const { portable } = NodeDeflate

  it("when it loses a byte, at once or later", async () => {
    for (const service of [losing, losingLater]) {
      assert.match((await problems(deflateMode({ service, portable }))).join(), /^service (and portable read|says)/)
    }
  })

  it("when it loses a byte, beside ws", async () => {
    for (const service of [losing, losingLater]) {
      assert.match((await problems(wsDeflateMode(service))).join(), /^we (read|say)/)
    }
  })

  it("when it does not stop at the limit", async () => {
    const service = inflating((inflate) => (data) => inflate(data, 2 ** 28))
    assert.deepStrictEqual(await problems(deflateMode({ service, portable })), ["more is inflated than was allowed"])
  })

  it("when it refuses what ends by itself", async () => {
    const refusing = inflating((inflate) => (data, limit) => (data.at(-1) === 0 ? "malformed" : inflate(data, limit)))
    assert.deepStrictEqual(await problems(deflateMode({ service: refusing, portable })), [
      "data without fault are refused"
    ])
  })

  it("when a message that took its time is never gone on from", async () => {
    const proceed = vi.spyOn(FrameDecoder.prototype, "proceed").mockImplementation(() => undefined)
    try {
      assert.deepStrictEqual(await problems(compressing), ["the case does not end"])
    } finally {
      proceed.mockRestore()
    }
  })
})

describe("a broken negotiation is found", () => {
  /** Ours with another answer or another reading of one. */
  const negotiating = (change: (extension: Extension) => Partial<Extension>) =>
    negotiationMode((options) => {
      const extension = PerMessageDeflate.make(NodeDeflate.service, options)
      return { ...extension, ...change(extension) }
    })

  const without = (parameters: Parameters, name: string) => parameters.filter((parameter) => parameter.name !== name)

  it("when a server does not grant what it was asked", async () => {
    const forgetful = negotiating(({ answer }) => ({
      answer: (offer) => {
        const answered = answer(offer)
        return answered && { ...answered, parameters: without(answered.parameters, "server_max_window_bits") }
      }
    }))
    assert.deepStrictEqual(await problems(forgetful), ["an answer is none to what was offered"])
  })

  it("when a client takes less than it has asked for", async () => {
    const lenient = negotiating(({ accept }) => ({
      accept: (answer) =>
        accept(answer) ?? accept([...answer, { name: "server_no_context_takeover", value: undefined }])
    }))
    assert.deepStrictEqual(await problems(lenient), ["a client takes an answer that is none to its offer"])
  })

  it("when an end encodes something else", async () => {
    const other = negotiating(({ answer }) => ({
      answer: (offer) => {
        const answered = answer(offer)
        return answered && { ...answered, codec: { ...answered.codec, encode: (payload) => payload.slice(1) } }
      }
    }))
    assert.lengthOf(await problems(other), 1)
  })
})
