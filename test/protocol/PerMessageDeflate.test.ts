import { describe, expect, it } from "vitest"
import type { Codec } from "../../src/protocol/Extension.js"
import { parseExtensions } from "../../src/protocol/headers.js"
import * as PerMessageDeflate from "../../src/protocol/PerMessageDeflate.js"
import { hex, unhex } from "./helpers.js"

/** Compressors that only write down what is asked of them: a message goes out behind a mark. */
const recording = () => {
  const log: Array<string> = []
  const keeps = (keepsContext: boolean) => (keepsContext ? "kept" : "fresh")
  const service: PerMessageDeflate.Service = {
    deflater: ({ windowBits, level, memLevel, keepsContext }) => {
      log.push(`deflater ${windowBits} ${level} ${memLevel} ${keeps(keepsContext)}`)
      return {
        deflate: (payload) => Uint8Array.of(0xdd, ...payload),
        reset: () => void log.push("deflater forgets"),
        end: () => void log.push("deflater ends")
      }
    },
    inflater: ({ windowBits, keepsContext }) => {
      log.push(`inflater ${windowBits} ${keeps(keepsContext)}`)
      return {
        inflate: (data, limit) => {
          if (data[0] !== 0xdd) return "malformed"
          return data.length - 1 > limit ? "too large" : data.slice(1)
        },
        end: () => void log.push("inflater ends")
      }
    }
  }
  return { log, service }
}

const parametersOf = (text: string) =>
  parseExtensions([`permessage-deflate${text === "" ? "" : `; ${text}`}`])![0]!.parameters

const format = (parameters: ReadonlyArray<{ readonly name: string; readonly value: string | undefined }>) =>
  parameters.map(({ name, value }) => (value === undefined ? name : `${name}=${value}`)).join("; ")

const extension = (options?: PerMessageDeflate.Options) => PerMessageDeflate.make(recording().service, options)

/** A server's answer to an offer, undefined where it declines. */
const answer = (offer: string, options?: PerMessageDeflate.Options) => {
  const answered = extension(options).answer(parametersOf(offer))
  return answered === undefined ? undefined : format(answered.parameters)
}

/** What compressors are asked for, by a codec that sends a message and receives one. */
const used = (codec: Codec, log: Array<string>): ReadonlyArray<string> => {
  codec.encode(new Uint8Array(2000))
  codec.decode(unhex("dd"), 10)
  return log
}

const asServer = (offer: string, options?: PerMessageDeflate.Options) => {
  const { log, service } = recording()
  return used(PerMessageDeflate.make(service, options).answer(parametersOf(offer))!.codec, log)
}

const asClient = (accepted: string, options?: PerMessageDeflate.Options) => {
  const { log, service } = recording()
  return used(PerMessageDeflate.make(service, options).accept(parametersOf(accepted))!, log)
}

describe("a server", () => {
  it.each([
    ["", ""],
    ["client_max_window_bits", ""],
    ["client_max_window_bits=12", "client_max_window_bits=12"],
    ["server_max_window_bits=15", "server_max_window_bits=15"],
    ["server_max_window_bits=8", "server_max_window_bits=8"],
    ['server_max_window_bits="10"', "server_max_window_bits=10"],
    ["server_no_context_takeover", "server_no_context_takeover"],
    ["client_no_context_takeover", "client_no_context_takeover"],
    [
      "client_max_window_bits=9; server_max_window_bits=10; client_no_context_takeover; server_no_context_takeover",
      "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9"
    ]
  ])("grants what is asked: %j", (offer, expected) => {
    expect(answer(offer)).toBe(expected)
  })

  it.each([
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=08",
    "server_max_window_bits=+9",
    "server_max_window_bits=9.0",
    "server_max_window_bits=1e1",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=015",
    "server_no_context_takeover=true",
    "client_no_context_takeover=1",
    "unknown",
    "Server_no_context_takeover",
    "__proto__",
    "constructor=9",
    "server_no_context_takeover; server_no_context_takeover",
    "client_max_window_bits; client_max_window_bits=9"
  ])("declines an offer that makes no sense: %j", (offer) => {
    expect(answer(offer)).toBeUndefined()
  })

  it("says what it wants itself, and keeps to the smaller window", () => {
    const options = {
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      serverMaxWindowBits: 10,
      clientMaxWindowBits: 11
    }
    const takeover = "server_no_context_takeover; client_no_context_takeover"
    expect(answer("client_max_window_bits", options)).toBe(
      `${takeover}; server_max_window_bits=10; client_max_window_bits=11`
    )
    expect(answer("client_max_window_bits=9; server_max_window_bits=12", options)).toBe(
      `${takeover}; server_max_window_bits=10; client_max_window_bits=9`
    )
    expect(answer("client_max_window_bits=13; server_max_window_bits=9", options)).toBe(
      `${takeover}; server_max_window_bits=9; client_max_window_bits=11`
    )
  })

  it("declines a client that cannot be told a window, where it has to be", () => {
    expect(answer("", { clientMaxWindowBits: 14 })).toBeUndefined()
    expect(answer("client_max_window_bits", { clientMaxWindowBits: 14 })).toBe("client_max_window_bits=14")
  })

  it("compresses and inflates as agreed", () => {
    expect(asServer("")).toEqual(["deflater 15 6 8 kept", "inflater 15 kept"])
    expect(
      asServer("server_max_window_bits=9; client_no_context_takeover; client_max_window_bits=10", {
        level: 1,
        memLevel: 9
      })
    ).toEqual(["deflater 9 1 9 kept", "inflater 10 fresh"])
    expect(asServer("server_no_context_takeover; server_max_window_bits=8")).toEqual([
      "deflater 8 6 8 fresh",
      "inflater 15 kept"
    ])
  })
})

describe("a client", () => {
  it.each([
    [{}, "client_max_window_bits"],
    [{ clientMaxWindowBits: 15, serverMaxWindowBits: 15 }, "client_max_window_bits"],
    [{ serverNoContextTakeover: true, clientMaxWindowBits: 9 }, "server_no_context_takeover; client_max_window_bits=9"],
    [
      { clientNoContextTakeover: true, serverMaxWindowBits: 8 },
      "client_no_context_takeover; server_max_window_bits=8; client_max_window_bits"
    ]
  ])("offers what it wants: %j", (options, expected) => {
    expect(extension(options).offers.map(format)).toEqual([expected])
  })

  it.each<[string, PerMessageDeflate.Options]>([
    ["", {}],
    ["server_no_context_takeover; client_no_context_takeover", {}],
    ["server_max_window_bits=9", {}],
    ["client_max_window_bits=8", {}],
    ["server_no_context_takeover", { serverNoContextTakeover: true }],
    ["server_max_window_bits=10", { serverMaxWindowBits: 10 }],
    ["server_max_window_bits=8", { serverMaxWindowBits: 10 }],
    ["", { clientMaxWindowBits: 10, clientNoContextTakeover: true }],
    ["client_max_window_bits=10", { clientMaxWindowBits: 10 }]
  ])("takes an answer that keeps to the offer: %j to %j", (accepted, options) => {
    expect(extension(options).accept(parametersOf(accepted))).toBeDefined()
  })

  it.each<[string, PerMessageDeflate.Options]>([
    ["unknown", {}],
    ["server_max_window_bits", {}],
    ["server_max_window_bits=7", {}],
    ["client_max_window_bits", {}],
    ["client_max_window_bits=16", {}],
    ["server_no_context_takeover; server_no_context_takeover", {}],
    ["client_no_context_takeover=yes", {}],
    ["", { serverNoContextTakeover: true }],
    ["", { serverMaxWindowBits: 10 }],
    ["server_max_window_bits=11", { serverMaxWindowBits: 10 }],
    ["client_max_window_bits=11", { clientMaxWindowBits: 10 }]
  ])("takes no answer that does not: %j to %j", (accepted, options) => {
    expect(extension(options).accept(parametersOf(accepted))).toBeUndefined()
  })

  it("compresses and inflates as agreed, and as it has said of itself", () => {
    expect(asClient("")).toEqual(["deflater 15 6 8 kept", "inflater 15 kept"])
    expect(asClient("client_max_window_bits=9; server_max_window_bits=10; server_no_context_takeover")).toEqual([
      "deflater 9 6 8 kept",
      "inflater 10 fresh"
    ])
    expect(asClient("", { clientNoContextTakeover: true, clientMaxWindowBits: 11 })).toEqual([
      "deflater 11 6 8 fresh",
      "inflater 15 kept"
    ])
  })
})

describe("a message", () => {
  const codecOf = (options?: PerMessageDeflate.Options) => {
    const { log, service } = recording()
    return { log, codec: PerMessageDeflate.make(service, options).answer([])!.codec }
  }

  it("is compressed from the threshold on, unless its sender wants otherwise", () => {
    const { codec } = codecOf()
    expect(codec.encode(new Uint8Array(1023))).toBeUndefined()
    expect(codec.encode(new Uint8Array(1024))).toHaveLength(1025)
    expect(codec.encode(new Uint8Array(1), true)).toHaveLength(2)
    expect(codec.encode(new Uint8Array(9999), false)).toBeUndefined()
    expect(codecOf({ threshold: 0 }).codec.encode(new Uint8Array(1))).toHaveLength(2)
    expect(codecOf({ threshold: Number.POSITIVE_INFINITY }).codec.encode(new Uint8Array(9999))).toBeUndefined()
  })

  it("that is empty is one empty block", () => {
    const { codec, log } = codecOf({ threshold: 0 })
    expect(hex(codec.encode(new Uint8Array(0)) as Uint8Array)).toBe("00")
    expect(log).toEqual([])
  })

  it("that cannot be inflated is a violation", () => {
    const { codec } = codecOf()
    expect(codec.decode(unhex("ff"), 10)).toMatchObject({ _tag: "Violation", code: 1007 })
    expect(codec.decode(unhex("dd 00 00 00"), 2)).toMatchObject({
      _tag: "Violation",
      code: 1009,
      reason: "a compressed message exceeds maxMessageSize (2 bytes)"
    })
  })

  it("has a compressor made when there is need of it, which ends with the connection", () => {
    const { codec, log } = codecOf()
    codec.encode(new Uint8Array(10))
    expect(log).toEqual([])
    codec.encode(new Uint8Array(2000))
    codec.encode(new Uint8Array(2000))
    expect(log).toEqual(["deflater 15 6 8 kept"])
    codec.end!()
    expect(log).toEqual(["deflater 15 6 8 kept", "deflater ends"])
  })
})

describe("options that make no sense", () => {
  it.each<[PerMessageDeflate.Options, string]>([
    [{ level: 10 }, "level of compression is 10: give a whole number from 0 to 9"],
    [{ memLevel: 0 }, "memLevel of compression is 0: give a whole number from 1 to 9"],
    [{ serverMaxWindowBits: 7 }, "serverMaxWindowBits of compression is 7: give a whole number from 8 to 15"],
    [{ clientMaxWindowBits: 9.5 }, "clientMaxWindowBits of compression is 9.5: give a whole number from 8 to 15"],
    [{ threshold: -1 }, "threshold of compression is -1: give a number of bytes"],
    [{ threshold: Number.NaN }, "threshold of compression is NaN: give a number of bytes"]
  ])("are refused: %j", (options, message) => {
    expect(() => extension(options)).toThrow(new RangeError(message))
  })
})
