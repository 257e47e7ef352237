import { assert, describe, it } from "vitest"
import { benchOf } from "./blind/Bench.js"
import { group6 } from "./blind/group6.js"
import { group7 } from "./blind/group7.js"
import { Report, type Testee } from "./blind/Testee.js"
import { type Faults, startEchoPeer } from "./EchoPeer.js"
import { isPassed } from "./judge.js"
import { runAll } from "./pool.js"

/** The blind spots of permessage-deflate notice who does not keep to it: small servers, each with one fault. */

const PATIENCE = 1

/** A server that grants what it is asked; it drops who asks badly, and has no limit. */
const testeeOf = (faults: Partial<Faults>): Testee => ({
  serve: async () => ({ ...(await startEchoPeer(faults)), report: new Report() }),
  dial: () => {
    throw new Error("it is no client")
  }
})

const able = new Set([
  ...["B6.2", "B6.3", "B6.4", "B6.8", "B6.12", "B6.13", "B6.14", "B6.18", "B6.20", "B6.21", "B6.22", "B6.23", "B6.31"],
  ...["B7.1a", "B7.1b", "B7.2", "B7.3", "B7.4", "B7.5"]
])
const spots = [...group6, ...group7].filter(({ id }) => able.has(id))
const ids = (prefix: string): ReadonlyArray<string> => spots.map(({ id }) => id).filter((id) => id.startsWith(prefix))

const broken: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, red: ReadonlyArray<string>]> = [
  ["makes no mistake", {}, []],
  ["takes its context over all the same", { takesContextOver: true }, ["B6.21", "B6.23", "B6.31"]],
  ["reaches beyond its window", { ignoresWindow: true }, ["B6.2", "B6.3", "B6.8", "B6.23", "B6.31"]],
  ["does not mark what is compressed", { hidesCompression: true }, [...able]],
  ["sends bad deflate data", { spoilsCompression: true }, [...able]],
  ["marks continuations as compressed", { marksContinuations: true }, [...able]],
  ["ignores reserved bits", { ignoresReservedBits: true }, ["B7.2"]],
  ["does not check UTF-8", { ignoresUtf8: true }, ["B7.5"]],
  ["fails with a code of its own", { closesWith: 1011 }, ["B7.1a", "B7.1b", "B7.2", "B7.5"]],
  ["sends no pong", { sendsNoPong: true }, ["B7.4"]],
  ["declines", { declinesExtensions: true }, [...able].filter((id) => !["B6.2", "B6.12", "B6.31"].includes(id))],
  [
    "grants less than is asked",
    { answers: "permessage-deflate" },
    ["B6.2", "B6.3", "B6.4", "B6.8", "B6.21", "B6.23", "B6.31"]
  ],
  [
    "tells a window that was not offered",
    { answers: "permessage-deflate; client_max_window_bits=9" },
    ids("B6").filter((id) => !["B6.13", "B6.14", "B6.18", "B6.20"].includes(id))
  ],
  ["agrees to what nobody knows", { answers: "permessage-deflate; level=9" }, [...able]]
]

describe.concurrent("a peer that", () => {
  it.each(broken)("%s is seen, where it shows and nowhere else", { timeout: 120_000 }, async (_, faults, red) => {
    const verdicts = await runAll(benchOf(testeeOf(faults), "server", PATIENCE), spots, 8)
    const failed = spots.map(({ id }) => id).filter((id) => !isPassed(verdicts.get(id)!))
    const notes = [...verdicts].map(([id, { note }]) => `${id} ${note}`).join("\n")
    assert.deepStrictEqual(
      failed,
      spots.map(({ id }) => id).filter((id) => red.includes(id)),
      notes
    )
  })
})
