import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Logger, LogLevel } from "effect"
import { Testing } from "effect-websockets/testing"
import * as Frame from "../src/protocol/Frame.js"
import type { ByteStream, Sink } from "../src/Transport.js"
import { traced } from "../src/trace.js"
import { conversation, damaged, sizes } from "./protocol/arbitraries.js"
import { chop } from "./protocol/helpers.js"
import { masked, plain } from "./support.js"

/** A stream that only passes on what it is given. */
const makeStream = () => {
  let attached: Sink | undefined
  const stream: ByteStream = {
    attach: (sink) => {
      attached = sink
    },
    write: () => "sent",
    pause: () => {},
    resume: () => {},
    bufferedAmount: () => 0,
    end: () => {},
    destroy: () => {},
    remoteAddress: () => undefined,
    localAddress: () => undefined
  }
  return { stream, receive: (bytes: Uint8Array) => attached?.data(bytes) }
}

const tracing = (role: Frame.Role) => {
  const lines: Array<string> = []
  const { receive, stream } = makeStream()
  const traces = traced(stream, role, (line) => lines.push(line))
  const received: Array<Uint8Array> = []
  traces.attach({ data: (bytes) => void received.push(bytes), end: () => {}, drain: () => {}, closed: () => {} })
  return { lines, receive, received, traces }
}

const long = new TextEncoder().encode("é".repeat(100))

describe("L8: a frame as a line", () => {
  it.each<readonly [Frame.Frame, string]>([
    [Frame.text("Hello"), 'TEXT "Hello" [5 bytes]'],
    [Frame.text(""), "TEXT [0 bytes]"],
    [Frame.text("a\nb\u001b[2J\u202e\u0085"), 'TEXT "a\\nb\\u001b[2J\\u202e\\u0085" [12 bytes]'],
    [Frame.binary(Uint8Array.of(0, 15, 255)), "BINARY 00 0f ff [3 bytes]"],
    [Frame.text("é".repeat(100)), `TEXT "${"é".repeat(24)}" … [200 bytes]`],
    [Frame.make(Frame.Opcode.Text, long.subarray(1, 50)), `TEXT ${"a9 c3 ".repeat(8).trim()} … [49 bytes]`],
    [Frame.binary(new Uint8Array(70_000)), `BINARY ${"00 ".repeat(16).trim()} … [70000 bytes]`],
    [Frame.close({ code: 1000, reason: "" }), "CLOSE 1000 (NormalClosure) [2 bytes]"],
    [Frame.close({ code: 4000, reason: "bye" }), 'CLOSE 4000 (PrivateUse) "bye" [5 bytes]'],
    [Frame.close({ code: 1005, reason: "" }), "CLOSE [0 bytes]"],
    [Frame.ping(Uint8Array.of(1, 255)), "PING 01 ff [2 bytes]"],
    [Frame.pong(), "PONG [0 bytes]"],
    [{ ...Frame.text("He"), fin: false }, 'TEXT "He" [2 bytes, continued]'],
    [{ ...Frame.text("abc"), rsv: 4 }, "TEXT 61 62 63 [3 bytes, RSV 4]"]
  ])("%o", (frame, line) => {
    for (const size of [1, 3, 1e6]) {
      const server = tracing("server")
      for (const chunk of chop(masked(frame), [size])) server.receive(chunk)
      for (const chunk of chop(plain(frame), [size])) server.traces.write(chunk)
      assert.deepStrictEqual(server.lines, [`< ${line}`, `> ${line}`])
    }
    const client = tracing("client")
    client.receive(plain(frame))
    client.traces.write(masked(frame))
    assert.deepStrictEqual(client.lines, [`< ${line}`, `> ${line}`])
  })

  it("is not made up behind what is no frame, and the bytes pass all the same", () => {
    fc.assert(
      fc.property(fc.oneof(conversation, damaged), sizes, ({ role, wire }, cuts) => {
        const { lines, receive, received } = tracing(role)
        for (const chunk of chop(wire, cuts)) receive(chunk.slice())
        assert.deepStrictEqual(Buffer.concat(received), Buffer.from(wire))
        for (const line of lines) assert.match(line, /^< [A-Z]+( \d+)? .*\[\d+ bytes.*\]$/)
      })
    )
  })
})

describe("L8: the log", () => {
  const logged = (level: LogLevel.LogLevel) => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message, logLevel }) => void lines.push(`${logLevel.label} ${String(message)}`))
    const layer = Logger.replace(Logger.defaultLogger, logger)
    const program = Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* Testing.connect(({ receive, send }) => Effect.flatMap(receive, send))
        yield* connection.send("Hello")
        yield* connection.receive
        yield* connection.closed
      })
    ).pipe(Logger.withMinimumLogLevel(level), Effect.provide(layer))
    return Effect.as(program, lines)
  }

  it.effect("has a line for each frame at debug, on either side", () =>
    Effect.gen(function* () {
      const frames = (yield* logged(LogLevel.Debug)).filter((line) => /^DEBUG [<>]/.test(line))
      assert.sameMembers(frames, [
        'DEBUG > TEXT "Hello" [5 bytes]',
        'DEBUG < TEXT "Hello" [5 bytes]',
        'DEBUG > TEXT "Hello" [5 bytes]',
        'DEBUG < TEXT "Hello" [5 bytes]',
        "DEBUG > CLOSE 1000 (NormalClosure) [2 bytes]",
        "DEBUG < CLOSE 1000 (NormalClosure) [2 bytes]",
        "DEBUG > CLOSE 1000 (NormalClosure) [2 bytes]",
        "DEBUG < CLOSE 1000 (NormalClosure) [2 bytes]"
      ])
    })
  )

  it.effect("has none above", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* logged(LogLevel.Info)).filter((line) => /[<>]/.test(line)),
        []
      )
    })
  )
})
