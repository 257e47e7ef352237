import { spawn } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import { assert, describe, it } from "vitest"
import { beginProfile, endProfile, partOf, sharesOf } from "../../bench/profile.js"

const frame = (functionName: string, url = "") => ({ functionName, url })

describe("a profile's samples", () => {
  it("belong to whose code was on top", () => {
    const parts = [
      frame("(program)"),
      frame("(idle)"),
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
      undefined,
      undefined,
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

  it("are shares of the CPU time, whose rest is the system's reads and polls, and other threads", () => {
    const node = (id: number, functionName: string) => ({
      id,
      callFrame: { functionName, url: "", scriptId: "0", lineNumber: 0, columnNumber: 0 }
    })
    const nodes = [node(1, "(root)"), node(2, "(idle)"), node(3, "writev"), node(4, "latin1Slice")]
    const profile = { nodes, samples: [1, 2, 3, 4, 3, 2], timeDeltas: [10, 20, 900, 200, 100, 300] }
    assert.deepStrictEqual(sharesOf(profile, 1000), { "read, poll, threads": 0.4, write: 0.5, V8: 0.1 })
  })

  it("see the reads of a process that does little else", async () => {
    let missing = 256 * 1024 * 1024
    let enough = (): void => {}
    const read = new Promise<void>((resolve) => {
      enough = resolve
    })
    const server = createServer((socket) => {
      socket.on("error", () => {})
      socket.on("data", ({ length }) => {
        missing -= length
        if (missing <= 0) enough()
      })
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as AddressInfo
    const flood = `const socket = require("node:net").connect(${port}), bytes = Buffer.alloc(262144)
      const go = () => { while (socket.write(bytes)); }
      socket.on("connect", go).on("drain", go).on("error", () => {})`
    const child = spawn(process.execPath, ["-e", flood], { stdio: "ignore" })
    try {
      await once(server, "connection")
      beginProfile()
      const before = process.cpuUsage()
      await read
      const { system, user } = process.cpuUsage(before)
      const shares = await endProfile()
      assert.isAbove(shares["read, poll, threads"] ?? 0, (0.8 * system) / (system + user))
    } finally {
      child.kill()
      server.close()
    }
  })
})
