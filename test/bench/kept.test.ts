import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { chart } from "../../bench/chart.js"
import { load, merge, save } from "../../bench/kept.js"
import { markdown } from "../../bench/readme.js"
import { keptOf, resultsOf } from "./samples.js"

const p1 = resultsOf("P1", { ws: [13, 13], ours: [10, 10] })
const p3 = resultsOf("P3", { ws: [6], python: [60], ours: [0.5] })

describe("what is kept of a run", () => {
  it("comes back from its file, a line for each sample", () => {
    const folder = mkdtempSync(join(tmpdir(), "bench-"))
    const file = join(folder, "results.json")
    try {
      assert.isUndefined(load(file))
      save(file, keptOf(p1, p3))
      assert.deepStrictEqual(load(file), keptOf(p1, p3))
      assert.include(readFileSync(file, "utf8"), '"ours": { "cost": 0.5, "load": 1, "perSecond": 1000 }')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("takes the place of what was kept of the same workload, in the order of the workloads", () => {
    const again = resultsOf("P3", { ours: [0.4] })
    assert.deepStrictEqual(merge(keptOf(p3), keptOf(p1)), keptOf(p1, p3))
    assert.deepStrictEqual(merge(keptOf(p1, p3), keptOf(again)), keptOf(p1, again))
    assert.deepStrictEqual(merge(undefined, keptOf(p1)), keptOf(p1))
  })

  it("keeps its rounds where only profiles are new", () => {
    const profiles = { ours: { cost: 10, load: 1, perSecond: 1000, shares: { write: 0.5 } } }
    const again = { ...resultsOf("P3", { ours: [] }), profiles }
    assert.deepStrictEqual(merge(keptOf(p1, p3), keptOf(again)), keptOf(p1, { ...p3, profiles }))
  })

  it("is not mixed with that of another machine or of other versions", () => {
    const other = { ...keptOf(p3), versions: { ws: "9.0.0" } }
    assert.throws(() => merge(keptOf(p1), other), "other versions")
    assert.throws(() => merge(keptOf(p1), { ...keptOf(p3), machine: { ...keptOf().machine, cores: 8 } }), "machine")
  })
})

describe("what is shown of a run", () => {
  it("is a table of costs, one of targets, and what it was measured on", () => {
    assert.strictEqual(
      markdown(keptOf(p1, p3)),
      `|  |  | \`ws\` | Python \`websockets\` | here | here against \`ws\` |
| --- | --- | --- | --- | --- | --- |
| P1 echo 64 B text, 1 connection, window 1 | µs/message | 13.0 | – | 10.0 | 1.30 × |
| P3 echo 64 B text, 16 connections, window 64 | µs/message | 6.00 | 60.0 | 0.500 | 12.0 × |

|  | here |  | floor | goal |  |
| --- | --- | --- | --- | --- | --- |
| P1 | against ws | 1.30 | 1.10 | 1.30 | goal reached |
| P3 | against ws | 12.0 | 8.00 | 14.0 | floor reached |

Medians of 1 to 2 rounds, also of the ratios in each round, 2026-01-02: a CPU, 2 cores, Linux 6, Node 20.1.0; effect-websockets 0.1.0, ws 8.0.0. uws is missing: it is not installed.
`
    )
  })

  it("is a table of where the time goes, for what was profiled and has not reached a goal", () => {
    const ours = { cost: 10, load: 1, perSecond: 1000, shares: { write: 0.5, here: 0.25 } }
    const profiles = { ours, "ours-loop": ours }
    const shown = markdown(keptOf({ ...p1, profiles }, { ...p3, profiles }))
    assert.notInclude(shown, "| P1 here")
    assert.notInclude(shown, "| P3 here, `receive` loop")
    assert.include(
      shown,
      `| one run with a profiler, µs | all | read, poll, threads | write | zlib | collector | node | V8 | wasm | effect | ws | here | handler |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| P3 here | 10.0 | – | 5.00 | – | – | – | – | – | – | – | 2.50 | – |
`
    )
  })

  it("is a chart with a bar for each workload that has ws, and a mark for each other server", () => {
    const svg = chart([p1, p3, resultsOf("P2", { ours: [1] })])
    assert.strictEqual(svg.match(/<rect class="ours"[^>]*><title>/g)?.length, 2)
    assert.include(svg, '<circle class="python"')
    assert.include(svg, "<title>python 0.100</title>")
    assert.include(svg, "prefers-color-scheme: dark")
    assert.strictEqual(chart([]), "")
  })
})
