import { FastCheck as fc } from "effect"
import { describe, expect, it } from "vitest"
import type { Codec } from "../../src/protocol/Extension.js"
import { violation } from "../../src/protocol/Frame.js"
import { defaultLimits, FrameDecoder, type Limits, type Options } from "../../src/protocol/FrameDecoder.js"
import { conversation, damaged, sizes } from "./arbitraries.js"
import { chop, type Event, hex, invert, inverting, reading, unhex } from "./helpers.js"

/** An extension that takes its time with every message: what it has to say it says in `waiting`. */
const slowly = (codec: Codec) => {
  const waiting: Array<() => void> = []
  const slow: Codec = {
    ...codec,
    decode: (payload, limit) => {
      const result = codec.decode(Uint8Array.from(payload), limit)
      return (done) => void waiting.push(() => (typeof result === "function" ? result(done) : done(result)))
    }
  }
  return { slow, waiting }
}

/** A decoder with that extension, which goes on by itself once a result is there. */
const slowReading = (codec: Codec, options: Partial<Options & Limits> = {}) => {
  const { slow, waiting } = slowly(codec)
  const events: Array<Event> = []
  const note =
    (kind: string) =>
    (payload: Uint8Array): void => {
      events.push([kind, hex(payload)])
    }
  const fail = (violation: ReturnType<FrameDecoder["decode"]>) => {
    if (violation !== undefined) events.push(["violation", violation.code, violation.reason])
  }
  const parts: Options = {
    role: "client",
    codecs: [slow],
    receiver: {
      message: (message) => events.push(typeof message === "string" ? ["text", message] : ["binary", hex(message)]),
      fragment: ({ data, final }) => events.push(["fragment", typeof data === "string" ? data : hex(data), final]),
      ping: note("ping"),
      pong: note("pong"),
      close: ({ code, reason }) => events.push(["close", code, reason]),
      decoded: () => fail(decoder.proceed())
    },
    ...options
  }
  const decoder: FrameDecoder = new FrameDecoder(parts, { ...defaultLimits, ...options })
  const read = (...chunks: ReadonlyArray<Uint8Array | string>) => {
    for (const chunk of chunks) {
      const bytes = typeof chunk === "string" ? unhex(chunk) : chunk.slice()
      fail(decoder.decode(bytes))
      bytes.fill(0xee)
    }
    return events
  }
  const release = () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) next()
    return events
  }
  return { decoder, read, release, events, waiting }
}

/** A compressed message, a ping, another message, a close frame. */
const [message, ping, plain, close] = ["c2 02 ff00", "89 01 70", "82 01 05", "88 02 03e8"]

describe("an extension that takes its time", () => {
  it("is overtaken by nothing: neither control frames nor messages, in the same chunk or the next", () => {
    const all = [
      ["binary", "00ff"],
      ["ping", "70"],
      ["binary", "05"],
      ["close", 1000, ""]
    ]
    for (const chunks of [
      [`${message} ${ping} ${plain} ${close}`],
      [message, ping, plain, close],
      [`${message} 89`, `01 70 ${plain}`, close]
    ]) {
      const { read, release, decoder } = slowReading(inverting(4))
      expect(read(...chunks)).toEqual([])
      expect(decoder.isSuspended).toBe(true)
      expect(release()).toEqual(all)
      expect(decoder.isSuspended).toBe(false)
    }
  })

  it("takes it for each message in turn, also those that were kept", () => {
    const { read, release, events, waiting } = slowReading(inverting(4))
    read(`${ping} ${message}`, message, `${plain} ${message}`)
    expect(events).toEqual([["ping", "70"]])
    waiting.shift()!()
    expect(events.slice(1)).toEqual([["binary", "00ff"]])
    expect(waiting).toHaveLength(1)
    expect(release().slice(2)).toEqual([
      ["binary", "00ff"],
      ["binary", "05"],
      ["binary", "00ff"]
    ])
  })

  it("is no message that is still arriving", () => {
    const { decoder, read, release } = slowReading(inverting(4))
    read(`${message} 82 05`)
    expect(decoder.isPartial).toBe(false)
    release()
    expect(decoder.isPartial).toBe(true)
  })

  it("fails the connection by what it finds, and nothing behind it is read", () => {
    const wrong = violation(1007, "no")
    const { read, release } = slowReading({ ...inverting(4), decode: () => wrong })
    read(message, ping)
    expect(release()).toEqual([["violation", 1007, "no"]])
    expect(read(plain)).toEqual([["violation", 1007, "no"]])
  })

  it("has what comes behind it judged as ever, and its text checked", () => {
    const { read, release } = slowReading(inverting(4))
    read(message, ping, "80 00")
    expect(release().map(([kind, what]) => [kind, what])).toEqual([
      ["binary", "00ff"],
      ["ping", "70"],
      ["violation", 1002]
    ])
    const text = slowReading(inverting(4))
    text.read(`c1 01 ${hex(invert(unhex("ff")))}`)
    expect(text.release()).toEqual([["violation", 1007, "text message that is not UTF-8"]])
  })

  it("says nothing any more when the end comes first, or our close frame is out", () => {
    const ended = slowReading(inverting(4))
    ended.read(message, ping)
    ended.decoder.end()
    expect(ended.decoder.isSuspended).toBe(false)
    expect(ended.release()).toEqual([])
    const closing = slowReading(inverting(4))
    closing.read(message, ping, plain, close)
    closing.decoder.discard()
    // It was complete before our close frame left; what was behind it had not been read.
    expect(closing.release()).toEqual([
      ["binary", "00ff"],
      ["ping", "70"],
      ["close", 1000, ""]
    ])
  })

  it("has a message whole that was asked for in fragments meanwhile, and the next as it comes", () => {
    const { decoder, read, release, events } = slowReading(inverting(4))
    read(message)
    decoder.receiveFragments()
    release()
    read("01 01 61", "80 01 62")
    expect(events).toEqual([
      ["binary", "00ff"],
      ["text", "ab"]
    ])
  })

  it("that throws instead of beginning is a violation", () => {
    const decode = () => () => {
      throw new TypeError("a fault of its own")
    }
    expect(reading({ codecs: [{ ...inverting(4), decode }] }).read(message, ping)).toEqual([
      ["violation", 1011, "an extension could not decode a message"]
    ])
  })

  it("comes to the same in the end as one that does not, whatever is sent and however it is cut", () => {
    fc.assert(
      fc.property(fc.oneof(conversation, damaged), sizes, fc.boolean(), ({ role, wire }, cuts, isLate) => {
        const { read, release, events } = slowReading(inverting(4), { role })
        for (const chunk of chop(wire, cuts)) {
          read(chunk)
          if (!isLate) release()
        }
        release()
        expect(events).toEqual(reading({ role, codecs: [inverting(4)] }).read(wire))
      }),
      { numRuns: 300 }
    )
  })
})

describe("a receiver that is full", () => {
  it("stops the decoding inside of a chunk: a few bytes may be many large messages", () => {
    const seen: Array<string> = []
    let room = 1
    const parts: Options = {
      role: "client",
      codecs: [inverting(4)],
      receiver: {
        message: (message) => {
          seen.push(typeof message === "string" ? message : hex(message))
          room--
        },
        fragment: () => {},
        ping: () => seen.push("ping"),
        pong: () => {},
        close: () => seen.push("close"),
        isFull: () => room <= 0
      }
    }
    const decoder = new FrameDecoder(parts, defaultLimits)
    const chunk = unhex(`${message} ${ping} ${message} ${message} ${close}`)
    expect(decoder.decode(chunk)).toBeUndefined()
    chunk.fill(0xee)
    expect([seen, decoder.isSuspended, decoder.isDecoding]).toEqual([["00ff"], true, false])
    decoder.decode(unhex(ping))
    room = 1
    decoder.proceed()
    expect(seen.slice(1)).toEqual(["ping", "00ff"])
    room = 5
    decoder.proceed()
    expect(seen.slice(3)).toEqual(["00ff", "close"])
    expect(decoder.isSuspended).toBe(false)
  })
})

describe("the limits", () => {
  it("are those of what extensions make of a message: its encoding may be a little larger", () => {
    const { read } = reading({
      codecs: [{ ...inverting(4), decode: (payload) => payload.slice(0, 5) }],
      maxMessageSize: 5,
      maxFrameSize: 5
    })
    expect(read("c2 07 01020304050607")).toEqual([["binary", "0102030405"]])
    expect(reading({ codecs: [inverting(4)], maxMessageSize: 5 }).read("c2 06 010203040506")).toEqual([
      ["violation", 1009, "6 bytes exceed maxMessageSize (5 bytes)"]
    ])
    const large = { codecs: [inverting(4)], maxMessageSize: 5 }
    expect(reading(large).read("c2 7e 0405")[0]?.[1]).toBeUndefined()
    expect(reading(large).read("c2 7e 0406")[0]?.[1]).toBe(1009)
  })

  it("know of the longest text that there can be", () => {
    const unlimited = { maxMessageSize: Number.POSITIVE_INFINITY, maxFrameSize: Number.POSITIVE_INFINITY }
    expect(reading(unlimited).read("81 7f 000000001fffffe9")[0]?.[1]).toBe(1009)
    expect(reading(unlimited).read("82 7f 000000001fffffe9")).toEqual([])
  })
})
