import { afterEach, assert, describe, it, vi } from "vitest"
import { Lifecycle } from "../../src/lifecycle.js"
import { Pings } from "../../src/pings.js"
import type { Violation } from "../../src/protocol/Frame.js"
import { FrameDecoder, type Limits, type Options } from "../../src/protocol/FrameDecoder.js"
import { connection } from "./connection.js"
import { decoderMode } from "./decoder.js"
import { differentialMode } from "./differential.js"
import { run } from "./run.js"

/** The fuzzer itself: faults that are put in on purpose are found, a decoder's within a second. */

const findings = async (Decoder: typeof FrameDecoder, mode = decoderMode): Promise<ReadonlyArray<string>> => {
  const { finds } = await run(mode(Decoder), { seconds: 1, seed: 7, first: true })
  return finds.map(({ problem }) => problem)
}

describe("a broken decoder is found", () => {
  it("when it throws on some byte", async () => {
    class Throwing extends FrameDecoder {
      override decode(chunk: Uint8Array): Violation | undefined {
        if (chunk.includes(0x5a)) throw new Error("0x5a")
        return super.decode(chunk)
      }
    }
    assert.deepStrictEqual(await findings(Throwing), ["thrown: 0x5a"])
  })

  it("when it takes frames with a mask and without one", async () => {
    const rule: unknown = Reflect.get(FrameDecoder.prototype, "checkStart")
    class Lenient extends FrameDecoder {
      constructor(options: Options, limits: Limits) {
        super(options, limits)
        const mask = options.role === "server" ? 0x80 : 0
        Object.assign(this, {
          checkStart: (first: number, second: number): unknown =>
            Reflect.apply(rule as (first: number, second: number) => unknown, this, [first, (second & 0x7f) | mask])
        })
      }
    }
    assert.lengthOf(await findings(Lenient, differentialMode), 1)
  })

  it("when it forgets a violation in a chunk of one byte", async () => {
    class Forgetful extends FrameDecoder {
      override decode(chunk: Uint8Array): Violation | undefined {
        const violation = super.decode(chunk)
        return chunk.length === 1 ? undefined : violation
      }
    }
    assert.lengthOf(await findings(Forgetful), 1)
  })

  it("when it hands over memory that is not its own", async () => {
    class Sharing extends FrameDecoder {
      constructor(options: Options, limits: Limits) {
        super(options, limits)
        const { receiver } = options
        let last: Uint8Array | undefined
        Object.assign(this, {
          receiver: {
            message: (message: string | Uint8Array) => {
              if (typeof message !== "string") last?.fill(0)
              last = typeof message === "string" ? last : message
              receiver.message(message)
            },
            fragment: receiver.fragment.bind(receiver),
            ping: receiver.ping.bind(receiver),
            pong: receiver.pong.bind(receiver),
            close: receiver.close.bind(receiver)
          }
        })
      }
    }
    assert.lengthOf(await findings(Sharing), 1)
  })

  it("when it reports a violation over and over", async () => {
    class Repeating extends FrameDecoder {
      private last: Violation | undefined
      override decode(chunk: Uint8Array): Violation | undefined {
        this.last = super.decode(chunk) ?? this.last
        return this.last
      }
    }
    assert.deepStrictEqual(await findings(Repeating), ["something was read after the end"])
  })

  it("when it keeps all that it has read", async () => {
    class Hoarding extends FrameDecoder {
      private readonly all: Array<Uint8Array> = []
      override decode(chunk: Uint8Array): Violation | undefined {
        for (let i = 0; i < 50; i++) this.all.push(chunk.slice())
        return super.decode(chunk)
      }
    }
    assert.deepStrictEqual(await findings(Hoarding), ["more is kept than the limits allow"])
  })
})

describe("a broken connection is found", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  const problems = async () => (await run(connection, { seconds: 2, seed: 7, first: true })).finds.map((f) => f.problem)

  it("when it does not hear the end of the peer's stream", async () => {
    vi.spyOn(Lifecycle.prototype, "end").mockImplementation(() => {})
    assert.deepStrictEqual(await problems(), ["the connection is not Closed after the peer's end and closeTimeout"])
  })

  it("when it leaves somebody waiting for a pong", async () => {
    vi.spyOn(Pings.prototype, "end").mockImplementation(() => {})
    assert.deepStrictEqual(await problems(), ["somebody still waits after Closed"])
  })

  it("when it throws on a pong", async () => {
    vi.spyOn(Pings.prototype, "answer").mockImplementation(() => {
      throw new Error("a pong")
    })
    assert.lengthOf(await problems(), 1)
  })
})
