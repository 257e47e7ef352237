import { assert, describe, it } from "vitest"
import { partOf, sharesOf } from "../../bench/profile.js"

const frame = (functionName: string, url = "") => ({ functionName, url })

describe("a profile's samples", () => {
  it("belong to whose code was on top", () => {
    const parts = [
      frame("(program)"),
      frame("writev"),
      frame("writeSync"),
      frame("(garbage collector)"),
      frame("latin1Slice"),
      frame("onStreamRead", "node:internal/stream_base_commons"),
      frame("xor", "wasm://wasm/8c1d2a3e"),
      frame("runLoop", "file:///a/node_modules/effect/dist/esm/internal/fiberRuntime.js"),
      frame("get", "file:///a/node_modules/@effect/platform/dist/esm/Socket.js"),
      frame("startLoop", "/a/node_modules/ws/lib/receiver.js"),
      frame("message", "file:///a/bench/dist/servers/ws.js"),
      frame("flush", "file:///a/dist/outbox.js")
    ].map(partOf)
    assert.deepStrictEqual(parts, [
      "read, poll",
      "write",
      "zlib",
      "collector",
      "V8",
      "node",
      "wasm",
      "effect",
      "effect",
      "ws",
      "handler",
      "here"
    ])
  })

  it("are shares of the time in which the process was not idle", () => {
    const node = (id: number, functionName: string) => ({
      id,
      callFrame: { functionName, url: "", scriptId: "0", lineNumber: 0, columnNumber: 0 }
    })
    const nodes = [node(1, "(root)"), node(2, "(idle)"), node(3, "writev"), node(4, "(program)")]
    assert.deepStrictEqual(sharesOf({ nodes, samples: [1, 2, 2, 2, 3, 3, 3, 4] }), { write: 0.75, "read, poll": 0.25 })
    assert.deepStrictEqual(sharesOf({ nodes, samples: [2] }), {})
  })
})
