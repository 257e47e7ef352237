import { describe, expect, it } from "vitest"
import { failure, filled, heldBy, hex, inverting, reading } from "./helpers.js"

const notUtf8 = ["violation", 1007, "text message that is not UTF-8"]

describe("D3: FrameDecoder.receiveFragments", () => {
  const fragmented: typeof reading = (options) => {
    const read = reading(options)
    read.decoder.receiveFragments()
    return read
  }

  it("hands over the next message as it arrives, and those after it whole", () => {
    const { read } = fragmented()
    expect(read("01 01 61")).toEqual([["fragment", "a", false]])
    expect(read("00 02 6263  80 01 64  81 01 65", "01 01 66  80 01 67")).toEqual([
      ["fragment", "a", false],
      ["fragment", "bc", false],
      ["fragment", "d", true],
      ["text", "e"],
      ["text", "fg"]
    ])
  })

  it("hands over what there is of a frame that is still arriving", () => {
    const { read } = fragmented()
    expect(read("82 05", "01", "0203", "04", "05  82 01 06")).toEqual([
      ["fragment", "01", false],
      ["fragment", "0203", false],
      ["fragment", "04", false],
      ["fragment", "05", true],
      ["binary", "06"]
    ])
  })

  it("hands over a message in one frame as its only fragment", () => {
    expect(fragmented().read("81 01 61  81 01 62")).toEqual([
      ["fragment", "a", true],
      ["text", "b"]
    ])
    expect(fragmented().read("81 00  81 00")).toEqual([
      ["fragment", "", true],
      ["text", ""]
    ])
  })

  it("hands over an empty fragment only at the end", () => {
    expect(fragmented().read("02 00  00 00  00 01 2a  00 00  80 00")).toEqual([
      ["fragment", "2a", false],
      ["fragment", "", true]
    ])
  })

  it("never cuts a text inside a character", () => {
    expect(fragmented().read("01 02 61e2  00 01 82  00 02 acf0  89 00  80 03 9f9880")).toEqual([
      ["fragment", "a", false],
      ["fragment", "€", false],
      ["ping", ""],
      ["fragment", "😀", true]
    ])
  })

  it("refuses a text at its first bad byte and at an end inside a character", () => {
    expect(fragmented().read("01 01 61  00 02 62ff")).toEqual([["fragment", "a", false], notUtf8])
    expect(fragmented().read("01 02 61c3  80 00")).toEqual([["fragment", "a", false], notUtf8])
    expect(fragmented().read("81 02 61c3")).toEqual([notUtf8])
  })

  it("hands over what has arrived of a message that has begun", () => {
    const { decoder, read } = reading()
    read("01 03 6162c3", "00 02 a9")
    decoder.receiveFragments()
    expect(read("63  80 01 64  81 01 65")).toEqual([
      ["fragment", "abé", false],
      ["fragment", "c", false],
      ["fragment", "d", true],
      ["text", "e"]
    ])
  })

  it("hands over nothing yet of a message of which only the header is there", () => {
    const { decoder, read } = reading()
    read("82 01")
    decoder.receiveFragments()
    expect(read()).toEqual([])
    expect(read("2a")).toEqual([["fragment", "2a", true]])
  })

  it("counts a message's size and fragments over all that is handed over", () => {
    const { read } = fragmented({ maxMessageSize: 3 })
    expect(read("02 02 0102  80 02")).toEqual([
      ["fragment", "0102", false],
      ["violation", 1009, "4 bytes exceed maxMessageSize (3 bytes)"]
    ])
    const few = fragmented({ maxFragments: 2 })
    expect(few.read("02 01 01  00 01 02  00 00").at(-1)).toEqual([
      "violation",
      1008,
      "more than maxFragments (2) frames"
    ])
  })

  describe("of a message that an extension has encoded", () => {
    const codecs = [inverting(4)]

    it("hands it over whole, and the next one too", () => {
      const events = [
        ["text", "ab"],
        ["text", "c"]
      ]
      expect(fragmented({ codecs }).read("41 01 9e  80 01 9d  81 01 63")).toEqual(events)
      expect(fragmented({ codecs }).read("c1 02 9e9d  81 01 63")).toEqual(events)
    })

    it("hands over nothing of what has arrived encoded", () => {
      const { decoder, read } = reading({ codecs })
      read("41 01 9e", "00 02 9d")
      decoder.receiveFragments()
      expect(read("9c  80 00")).toEqual([["text", "abc"]])
    })
  })
})

describe("D3: FrameDecoder.receiveWhole", () => {
  it("takes receiveFragments back before a message begins", () => {
    const { decoder, read } = reading()
    decoder.receiveFragments()
    expect(decoder.receiveWhole()).toBe(true)
    expect(read("01 01 61  80 01 62")).toEqual([["text", "ab"]])
    expect(decoder.receiveWhole()).toBe(true)
  })

  it("takes it back as long as nothing has been handed over", () => {
    const { decoder, read } = reading()
    decoder.receiveFragments()
    expect(read("01 01 c3")).toEqual([])
    expect(decoder.receiveWhole()).toBe(true)
    expect(read("80 01 a9")).toEqual([["text", "é"]])
  })

  it("is too late once a part has been handed over, until the message ends", () => {
    const { decoder, read } = reading()
    decoder.receiveFragments()
    read("01 01 61")
    expect(decoder.receiveWhole()).toBe(false)
    expect(read("80 01 62")).toEqual([
      ["fragment", "a", false],
      ["fragment", "b", true]
    ])
    expect(decoder.receiveWhole()).toBe(true)
    decoder.receiveFragments()
    expect(decoder.receiveWhole()).toBe(true)
  })
})

describe("D3: FrameDecoder.discard", () => {
  const discarding: typeof reading = (options) => {
    const read = reading(options)
    read.decoder.discard()
    return read
  }

  it("delivers control frames only", () => {
    expect(discarding().read("81 01 61  89 01 70  01 01 62  8a 01 71  80 01 63  82 01 64  88 02 03e8")).toEqual([
      ["ping", "70"],
      ["pong", "71"],
      ["close", 1000, ""]
    ])
    expect(discarding().read("81 05 61", "6262", "6363  82 7e 1000", filled(0x1000), "89 00")).toEqual([["ping", ""]])
  })

  it("delivers no message of which a part was there, nor fragments of it", () => {
    const whole = reading()
    whole.read("01 01 61")
    whole.decoder.discard()
    expect(whole.read("80 01 62  81 01 63  89 00")).toEqual([["ping", ""]])

    const parts = reading()
    parts.decoder.receiveFragments()
    parts.read("01 01 61")
    parts.decoder.discard()
    expect(parts.read("00 01 62  80 01 63  81 01 64")).toEqual([["fragment", "a", false]])
  })

  it("hands over no fragments that are asked for afterwards", () => {
    const { decoder, read } = reading()
    read("01 01 61")
    decoder.discard()
    decoder.receiveFragments()
    expect(read("80 01 62  01 01 63  80 01 64  89 00")).toEqual([["ping", ""]])
  })

  it.each([
    ["a reserved opcode", 1002, "83 00"],
    ["a stray continuation", 1002, "80 00"],
    ["a message inside of another", 1002, "01 00  81 00"],
    ["a frame that is too large", 1009, "82 05"],
    ["a message that is too large", 1009, "02 03 010203  80 02"],
    ["too many fragments", 1008, "02 00  00 00  00 00  00 00"],
    ["text that is not UTF-8", 1007, "81 01 ff"],
    ["text that is not UTF-8, while it arrives", 1007, "81 04 ff"],
    ["text that is not UTF-8, in fragments", 1007, "01 01 c3  00 01 41"],
    ["a text that ends inside a character", 1007, "01 01 c3  80 00"],
    ["an invalid close frame", 1002, "88 01 00"]
  ])("still refuses %s", (_, code, wire) => {
    const options = { maxMessageSize: 4, maxFrameSize: 4, maxFragments: 3 }
    expect(failure(options, wire)).toBe(code)
    expect(discarding(options).read(wire).at(-1)?.slice(0, 2)).toEqual(["violation", code])
    const started = reading(options)
    started.read("01 01 61")
    started.decoder.discard()
    expect(started.read("80 00", wire).at(-1)?.slice(0, 2)).toEqual(["violation", code])
  })

  it("sends nothing through extensions any more, however it is cut", () => {
    const codecs = [
      {
        ...inverting(4),
        decode: () => {
          throw new Error("decoded what nobody will see")
        }
      }
    ]
    expect(discarding({ codecs }).read("c1 01 9e  41 01 9e  80 01 9d", "c1", "01", "9e", "89 00")).toEqual([
      ["ping", ""]
    ])
  })

  it.each([
    ["a message to come", "", "82 7f 00000000 000fffff"],
    ["a message that has begun", "02 01 00", "80 7f 00000000 000fffff"]
  ])("sets no memory aside for %s", (_, before, after) => {
    const { decoder, read } = reading()
    read(before)
    decoder.discard()
    read(after)
    expect(heldBy(decoder)).toBe(0)
  })

  it("can be said while a message is handed over", () => {
    const seen: Array<string> = []
    const { decoder, read } = reading({
      receiver: {
        message: (message) => {
          seen.push(typeof message === "string" ? message : hex(message))
          decoder.discard()
        },
        fragment: () => {},
        ping: () => seen.push("ping"),
        pong: () => {},
        close: () => {}
      }
    })
    read("81 01 61  81 01 62  01 01 63  80 01 64  89 00")
    expect(seen).toEqual(["a", "ping"])
  })
})
