import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { ConnectionClosed } from "effect-websockets"

const close = (code: number, reason = "") => ({ code, reason })
const closure = (parts: Partial<ConnectionClosed.Closure>): ConnectionClosed.Closure => ({
  sent: undefined,
  received: undefined,
  initiator: "local",
  cause: undefined,
  ...parts
})

const timeout = { _tag: "CloseTimeout" } as const
const ends: ReadonlyArray<readonly [Partial<ConnectionClosed.Closure>, string, number, boolean]> = [
  [{ sent: close(1000), received: close(1000) }, "we closed with 1000; peer closed with 1000", 1000, true],
  [
    { sent: close(1000), received: close(1001, "bye"), initiator: "remote" },
    "peer closed with 1001 bye; we closed with 1000",
    1001,
    true
  ],
  [
    { sent: close(1005), received: close(1005), initiator: "remote" },
    "peer closed without a code; we closed without a code",
    1005,
    true
  ],
  [{ sent: close(1000), received: close(4000) }, "we closed with 1000; peer closed with 4000", 4000, false],
  [{ sent: close(1011), received: close(1000) }, "we closed with 1011; peer closed with 1000", 1000, false],
  [
    { sent: close(1000), cause: timeout },
    "we closed with 1000; peer sent no close frame; the closing handshake took longer than closeTimeout",
    1006,
    false
  ],
  [
    { initiator: "remote", cause: { _tag: "EndOfStream" } },
    "the peer's stream ended without a close frame",
    1006,
    false
  ],
  [{ cause: { _tag: "TransportError", error: new Error("reset") } }, "reset", 1006, false],
  [{ initiator: "local" }, "we ended it without a close frame", 1006, false],
  [{ initiator: "remote" }, "the peer ended it without a close frame", 1006, false],
  [{ cause: { _tag: "TransportError", error: new Error() } }, "the transport broke", 1006, false],
  [{ cause: { _tag: "TransportError", error: "no Error" } }, "the transport broke", 1006, false],
  [{ cause: { _tag: "KeepaliveTimeout" } }, "the peer did not answer a ping in time", 1006, false],
  [
    { cause: { _tag: "Violation", violation: { _tag: "Violation", code: 1002, reason: "wrong" } } },
    "the peer broke the protocol: wrong",
    1006,
    false
  ]
]

const traffic = { duration: Duration.zero, bytesReceived: 0, bytesSent: 0 }

describe("L6: a reason of the peer's", () => {
  it("obeys nobody in the sentence, and stays as it is in the closure", () => {
    const received = close(3000, "x\u001b[31m\nlevel=ERROR")
    const error = new ConnectionClosed.ConnectionClosed({
      closure: closure({ received, initiator: "remote" }),
      traffic
    })
    assert.include(error.message, "peer closed with 3000 x\\u001b[31m\\u000alevel=ERROR")
    assert.deepStrictEqual(error.closure.received, received)
  })
})

describe("L6: ConnectionClosed", () => {
  it.each(ends)("%o: %s", (parts, sentence, code, isClean) => {
    const error = new ConnectionClosed.ConnectionClosed({ closure: closure(parts), traffic })
    assert.strictEqual(error.message, sentence)
    assert.strictEqual(ConnectionClosed.describe(error.closure), sentence)
    assert.strictEqual(ConnectionClosed.code(error), code)
    assert.strictEqual(ConnectionClosed.isClean(error), isClean)
    assert.strictEqual(error._tag, "ConnectionClosed")
    assert.instanceOf(error, Error)
  })
})
