import { Buffer } from "node:buffer"
import { randomBytes } from "node:crypto"
import * as zlib from "node:zlib"
import { NodeDeflate } from "effect-websockets/node"
import { describe, expect, it } from "vitest"
import type { Deflate } from "../../src/index.js"
import { isUsable } from "../../src/node/deflateContext.js"
import type { Eventual } from "../../src/protocol/Extension.js"
import { isPortable } from "../support/mode.js"

const services: ReadonlyArray<readonly [string, Deflate.Service]> = [
  [isPortable ? "what stands in for zlib's own contexts" : "zlib's own contexts", NodeDeflate.service],
  ["documented calls", NodeDeflate.portable]
]

const both = [true, false]
const everyWindow = [8, 9, 10, 11, 12, 13, 14, 15]

/** A result, whether it comes at once or later; a copy, as its memory is used again. */
const whole = <A>(result: Eventual<A>): Promise<A> =>
  new Promise((resolve) => {
    const done = (value: A) => resolve((value instanceof Uint8Array ? Uint8Array.from(value) : value) as A)
    if (typeof result === "function") (result as (done: (result: A) => void) => void)(done)
    else done(result)
  })

/** Text that compresses about as JSON does, and refers to what is far behind. */
const json = (length: number, seed = 1): Buffer => {
  let state = seed
  const next = () => (state = (state * 48_271) % 2_147_483_647)
  let text = ""
  while (text.length < length) text += `{"id":${next() % 1000},"name":"user ${next() % 50}","tags":["a${next() % 7}"]},`
  return Buffer.from(text.slice(0, length))
}

const deflaterOf = (service: Deflate.Service, windowBits = 15, keepsContext = true) =>
  service.deflater({ windowBits, keepsContext, level: 6, memLevel: 8 })

/** Raw deflate data as a peer would send it. */
const compressed = (payload: Uint8Array): Uint8Array =>
  zlib.deflateRawSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4)

it(`zlib's own contexts can${isPortable ? "not" : ""} be had here, and are ${isPortable ? "not " : ""}what is tested`, () => {
  expect(isUsable()).toBe(!isPortable)
})

describe.each(services)("%s", (_, service) => {
  it.each(everyWindow.flatMap((bits) => both.map((keeps) => [bits, keeps] as const)))(
    "takes messages there and back, window bits %i, keeping its context: %s",
    async (windowBits, keepsContext) => {
      const deflater = deflaterOf(service, windowBits, keepsContext)
      const inflater = service.inflater({ windowBits, keepsContext })
      for (const length of [1, 5, 1000, 32_768, 32_769, 60_000, 2, 200_000, 300, 131_072, 40]) {
        const message = length % 2 === 0 ? json(length, length) : randomBytes(length)
        const data = await whole(deflater.deflate(message))
        expect(message.equals((await whole(inflater.inflate(data, length))) as Uint8Array), `${length}`).toBe(true)
      }
      deflater.end()
      inflater.end()
    }
  )

  it.each(everyWindow)("refers back no further than a window of %i bits", async (windowBits) => {
    const deflater = deflaterOf(service, windowBits)
    // Its output is small, so that all that lies further back has to come from its window.
    const strict = zlib.createInflateRaw({ windowBits: Math.max(windowBits, 8), chunkSize: 64 })
    const chunks: Array<Buffer> = []
    strict.on("data", (chunk) => chunks.push(chunk))
    const messages = [300, 5000, 33_000, 100, 70_000].map((length) => json(length, 7))
    for (const message of messages) {
      const data = await whole(deflater.deflate(message))
      await new Promise((resolve) => strict.write(Buffer.concat([data, Buffer.from("0000ffff", "hex")]), resolve))
    }
    expect(Buffer.concat(chunks).equals(Buffer.concat(messages))).toBe(true)
    deflater.end()
  })

  it.each(both)("keeps its context or not, as asked: %s", async (keepsContext) => {
    const deflater = deflaterOf(service, 15, keepsContext)
    const message = json(2000)
    const first = await whole(deflater.deflate(message))
    const second = await whole(deflater.deflate(message))
    if (keepsContext) expect(second.length).toBeLessThan(first.length / 4)
    else expect(Buffer.from(second).equals(first)).toBe(true)
    // What was sent apart is not known to who comes later.
    const alone = service.inflater({ windowBits: 15, keepsContext })
    const result = await whole(alone.inflate(second, 10_000))
    if (keepsContext) expect(result).toBe("malformed")
    else expect(message.equals(result as Uint8Array)).toBe(true)
  })

  it("answers at once up to 32 KiB, and later above", () => {
    const deflater = deflaterOf(service)
    expect(deflater.deflate(json(32_768))).toBeInstanceOf(Uint8Array)
    expect(typeof deflater.deflate(json(32_769))).toBe("function")
    deflater.end()
    const inflater = service.inflater({ windowBits: 15, keepsContext: true })
    expect(typeof inflater.inflate(randomBytes(32_768), 1)).not.toBe("function")
    expect(typeof inflater.inflate(randomBytes(32_769), 1)).toBe("function")
    inflater.end()
  })

  it("is done with the caller's memory when it returns", async () => {
    const deflater = deflaterOf(service)
    const inflater = service.inflater({ windowBits: 15, keepsContext: true })
    const message = json(300_000)
    const lent = Buffer.from(message)
    const deflated = deflater.deflate(lent)
    lent.fill(0)
    const data = await whole(deflated)
    expect(data.length).toBeGreaterThan(32_768)
    const inflated = inflater.inflate(data, 1e6)
    data.fill(0)
    expect(message.equals((await whole(inflated)) as Uint8Array)).toBe(true)
  })

  it.each(both)("stops behind the limit, and not before: context kept %s", async (keepsContext) => {
    for (const length of [1, 1000, 65_535, 65_536, 65_537, 200_000]) {
      for (const message of [Buffer.alloc(length, 7), randomBytes(length)]) {
        const inflate = (limit: number) => {
          const inflater = service.inflater({ windowBits: 15, keepsContext })
          return whole(inflater.inflate(compressed(message), limit)).finally(() => inflater.end())
        }
        expect(message.equals((await inflate(length)) as Uint8Array), `${length}`).toBe(true)
        expect(await inflate(length - 1 || 1), `${length}`).toEqual(
          length === 1 ? Uint8Array.from(message) : "too large"
        )
      }
    }
  })

  it("does not unpack a bomb", async () => {
    // 1 GiB of zeros, from a megabyte that one block of them makes.
    const block = zlib.deflateRawSync(Buffer.alloc(1 << 24), { finishFlush: zlib.constants.Z_FULL_FLUSH })
    const bomb = Buffer.concat(Array.from({ length: 64 }, () => block))
    const before = process.memoryUsage().rss
    const inflater = service.inflater({ windowBits: 15, keepsContext: true })
    expect(await whole(inflater.inflate(bomb, 1_048_576))).toBe("too large")
    inflater.end()
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20)
  })

  it("finds that data are cut short, wherever", async () => {
    const message = json(700)
    const data = compressed(message)
    for (let length = 0; length < data.length; length++) {
      for (const keepsContext of both) {
        const inflater = service.inflater({ windowBits: 15, keepsContext })
        expect(await whole(inflater.inflate(data.subarray(0, length), 10_000)), `${length}`).toBe("malformed")
        inflater.end()
      }
    }
    const large = compressed(randomBytes(50_000))
    for (const length of [large.length - 1, large.length - 2, 33_000, 40_001]) {
      const inflater = service.inflater({ windowBits: 15, keepsContext: true })
      expect(await whole(inflater.inflate(large.subarray(0, length), 1e6)), `${length}`).toBe("malformed")
      inflater.end()
    }
  })

  it.each(both)("finds that data are no deflate data: context kept %s", async (keepsContext) => {
    for (const length of [3, 33_000]) {
      const inflater = service.inflater({ windowBits: 15, keepsContext })
      expect(await whole(inflater.inflate(Buffer.alloc(length, 0xff), 1e6))).toBe("malformed")
      inflater.end()
    }
  })

  it.each(both)(
    "takes data that their sender has ended, and what comes behind: context kept %s",
    async (keepsContext) => {
      const inflater = service.inflater({ windowBits: 15, keepsContext })
      const inflate = (data: Uint8Array) => whole(inflater.inflate(data, 1e6))
      const [small, large] = [json(300), randomBytes(40_000)]
      for (const message of [small, large]) {
        const ended = zlib.deflateRawSync(message)
        // RFC 7692 §7.2.3.4: such data go on with an empty block that is not the last.
        for (const data of [ended, Buffer.concat([ended, Buffer.of(0)])]) {
          expect(message.equals((await inflate(data)) as Uint8Array)).toBe(true)
          expect(small.equals((await inflate(compressed(small))) as Uint8Array)).toBe(true)
        }
        const twice = Buffer.concat([ended, zlib.deflateRawSync(small), compressed(message)])
        expect(Buffer.concat([message, small, message]).equals((await inflate(twice)) as Uint8Array)).toBe(true)
      }
      // Two bytes of the peer's for a call of ours.
      expect(await inflate(Buffer.from("0300".repeat(100), "hex"))).toEqual(new Uint8Array(0))
      expect(await inflate(Buffer.from("0300".repeat(10_000), "hex"))).toBe("malformed")
    }
  )

  it("takes stored blocks and an empty message", async () => {
    const inflater = service.inflater({ windowBits: 15, keepsContext: true })
    const stored = zlib
      .deflateRawSync(json(500), { level: 0, finishFlush: zlib.constants.Z_SYNC_FLUSH })
      .subarray(0, -4)
    expect(json(500).equals((await whole(inflater.inflate(stored, 500))) as Uint8Array)).toBe(true)
    expect(await whole(inflater.inflate(Buffer.of(0), 500))).toEqual(new Uint8Array(0))
    expect(await whole(inflater.inflate(Buffer.from("0200", "hex"), 500))).toEqual(new Uint8Array(0))
  })

  it("can be ended while a result is still to come", async () => {
    const deflater = deflaterOf(service)
    const inflater = service.inflater({ windowBits: 15, keepsContext: true })
    const ignore = () => {}
    ;(deflater.deflate(randomBytes(1 << 20)) as (done: () => void) => void)(ignore)
    ;(inflater.inflate(compressed(randomBytes(1 << 20)), 1e9) as (done: () => void) => void)(ignore)
    deflater.end()
    inflater.end()
    // Goes through the same threads, behind them.
    expect((await whole(deflaterOf(service).deflate(randomBytes(1 << 20)))).length).toBeGreaterThan(1 << 20)
  })
})

it("both say the same of the same data", async () => {
  const message = json(3000)
  const data = compressed(message)
  for (let i = 0; i < data.length; i += 3) {
    const broken = Uint8Array.from(data)
    broken[i] = broken[i]! ^ (1 << (i % 8))
    const [one, other] = await Promise.all(
      services.map(([, service]) =>
        whole(service.inflater({ windowBits: 15, keepsContext: false }).inflate(broken, 5000))
      )
    )
    expect(one, `byte ${i}`).toEqual(other)
  }
})
