import { assert, describe, it } from "vitest"
import { parseOptions } from "../../bench/options.js"
import { workloadNames } from "../../bench/workloads.js"

describe("the benchmark's options", () => {
  it("are four workloads, every server and five rounds unless told otherwise", () => {
    const { mode, rounds, seconds, servers, workloads } = parseOptions([])
    assert.deepStrictEqual(
      { mode, rounds, seconds, servers, workloads },
      { mode: "report", rounds: 5, seconds: 2, servers: undefined, workloads: ["P2", "P3", "P5", "P10"] }
    )
  })

  it("take workloads by position and by name, whole groups, each once", () => {
    const { workloads } = parseOptions(["p9", "P7/8", "--workloads", "P7,P13"])
    assert.deepStrictEqual(workloads, ["P9/plain", "P9/tls", "P9/deflate", "P7/8", "P7/1", "P3"])
    assert.deepStrictEqual(parseOptions(["P1"]).workloads, ["P1"])
    assert.deepStrictEqual(parseOptions(["all"]).workloads, workloadNames)
  })

  it("take servers by name", () => {
    assert.deepStrictEqual(parseOptions(["--servers", "ours-loop,ws"]).servers, ["ours-loop", "ws"])
  })

  it("ask for a profile, or not", () => {
    assert.deepStrictEqual(
      [[], ["--profile"]].map((args) => parseOptions(args).profile),
      [false, true]
    )
  })

  it("leave the guard no choice of servers", () => {
    const { mode, seconds, servers } = parseOptions(["--guard", "--servers", "raw"])
    assert.deepStrictEqual({ mode, seconds, servers }, { mode: "guard", seconds: 1, servers: ["ws", "ours"] })
  })

  it("say what they don't know", () => {
    assert.throws(() => parseOptions(["P99"]), 'no workload is called "P99"')
    assert.throws(() => parseOptions(["--servers", "nginx"]), 'no server is called "nginx"')
    assert.throws(() => parseOptions(["--rounds", "0"]), '--rounds takes a number above 0, not "0"')
    assert.throws(() => parseOptions(["--only", "ws"]), "--only")
  })
})
