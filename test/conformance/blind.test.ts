import { assert, describe, it } from "vitest"
import { benchOf } from "./blind/Bench.js"
import { isOfRole } from "./blind/BlindSpot.js"
import type { Faults } from "./blind/FaultyPeer.js"
import { faulty } from "./blind/faultyTestee.js"
import { blindSpots } from "./blind/index.js"
import { ours } from "./blind/oursTestee.js"
import type { Testee } from "./blind/Testee.js"
import { isPassed, type Verdict } from "./judge.js"
import { runAll } from "./pool.js"
import type { Role } from "./run.js"

/** What the public testsuite leaves out, against this library and against peers that are broken on purpose. */

const JOBS = 4

/** A busy machine is no fault of a testee. */
const PATIENCE = 3

const roles = ["server", "client"] as const

const against = (
  testee: Testee,
  role: Role,
  patience: number,
  isWanted: (id: string) => boolean
): Promise<ReadonlyMap<string, Verdict>> => {
  const spots = blindSpots.filter(isOfRole(role)).filter(({ id }) => isWanted(id))
  return runAll(benchOf(testee, role, patience), spots, JOBS)
}

/** The scenarios that were not passed, each with why. */
const red = (verdicts: ReadonlyMap<string, Verdict>): ReadonlyArray<string> =>
  [...verdicts].filter(([, verdict]) => !isPassed(verdict)).map(([id, { note }]) => `${id} ${note}`)

describe("the blind spots", () => {
  it("have an id each", () => {
    assert.strictEqual(new Set(blindSpots.map(({ id }) => id)).size, blindSpots.length)
  })
})

describe("this library", () => {
  it.each(roles)("has none as a %s", { timeout: 120_000 }, async (role) => {
    assert.deepStrictEqual(red(await against(ours, role, PATIENCE, () => true)), [])
  })
})

/** What the small testee does not know of: the finer points of requests, and answers without end. */
const beyond = /^B(1\.(10|12|13|14|15|16|17|18|19|20[ab]|26)|2\.(12|14b))$/

describe("a small peer without a fault", () => {
  it.each(roles)("is found to have none as a %s", { timeout: 120_000 }, async (role) => {
    assert.deepStrictEqual(
      red(await against(faulty({}), role, PATIENCE, (id) => /^B[1-58]\./.test(id) && !beyond.test(id))),
      []
    )
  })
})

/** Where a fault shows, and what is said about it there. */
type Found = Readonly<Record<string, RegExp>>

const same = (ids: ReadonlyArray<string>, note: RegExp): Found => Object.fromEntries(ids.map((id) => [id, note]))
const refused = ["B1.1", "B1.2", "B1.3", "B1.4", "B1.5", "B1.6", "B1.7", "B1.8", "B1.9", "B1.11"]

const asServer: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, found: Found]> = [
  ["lets everybody in", { opensAlways: true }, same(refused, /: the answer was HTTP\/1\.1 101/)],
  ["refuses without a word", { saysNothing: true }, same(refused, /the body is no sentence: ""/)],
  ["leaves TCP open behind a refusal", { keepsTcp: true }, same(refused, /the end of TCP did not come/)],
  ["serves nobody behind a refusal", { givesUp: true }, same(refused, /it ended TCP/)],
  ["waits for requests for ever", { waitsForEver: true }, { "B1.25": /nothing: the end of TCP did not come/ }],
  ["loses what is glued to a request", { losesGlued: true }, { "B1.23": /whole: a frame did not come/ }],
  ["does not notice who leaves", { missesEnds: true }, { "B1.24": /that no connection is left was not so/ }],
  ["takes frames that are not masked", { ignoresMasking: true }, { "B3.1": /before its close frame it sent/ }]
]

const asClient: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, found: Found]> = [
  [
    "takes every answer",
    { opensAlways: true },
    same(
      ["B2.1", "B2.2", "B2.3", "B2.4", "B2.5", "B2.6", "B2.7", "B2.8", "B2.9", "B2.10", "B2.11"],
      /it took that for an open connection/
    )
  ],
  ["waits for answers for ever", { waitsForEver: true }, { "B2.14a": /silence: the testee's opening did not come/ }],
  ["loses what is glued to an answer", { losesGlued: true }, { "B2.13": /a frame did not come/ }],
  ["takes frames that are masked", { ignoresMasking: true }, { "B3.2": /before its close frame it sent/ }],
  ["has one masking key", { keys: "constant" }, { "B3.3": /of 1000 masking keys 1 differ/ }],
  ["counts its masking keys up", { keys: "counting" }, { "B3.3": /lopsided/ }]
]

const asBoth: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, found: Found]> = [
  ["takes long forms of lengths", { ignoresLengthForms: true }, same(["B4.1", "B4.2"], /before its close frame/)],
  ["takes lengths of 2^63", { ignoresTopBit: true }, { "B4.3": /2\^63: a close frame .* did not come/ }],
  ["looks at limits late", { limitsLate: true }, { "B4.4": /one octet more: a close frame .* did not come/ }],
  ["takes an octet too many", { limitOff: 1 }, { "B4.5": /before its close frame it sent opcode 1/ }],
  ["takes an octet too few", { limitOff: -1 }, { "B4.5": /instead of|it sent opcode 8|a message/ }],
  ["does not count fragments", { countsNoFragments: true }, { "B4.6": /of 1 octet: / }],
  ["knows old close codes only", { oldCodes: true }, { "B5.1": /code 1012: it answered 1002/ }],
  ["takes every close code", { anyCode: true }, { "B5.2": /code 0: it closed with 0/ }],
  ["echoes behind its close frame", { echoesBehindClose: true }, { "B5.3c": /it sent more behind|a frame behind/ }],
  [
    "does not notice ends",
    { missesEnds: true },
    same(["B5.1", "B5.3a", "B5.3b", "B5.3d", "B5.3e", "B5.4"], /the testee's own end of the connection did not come/)
  ],
  ["ignores reserved bits", { ignoresReservedBits: true }, { "B5.5": /ping: RSV1: before its close frame it sent/ }],
  ["fails before what came earlier", { failsFirst: true }, { "B5.6": /of 50 messages it echoed 0/ }],
  ["waits for close frames for ever", { ignoresCloseTimeout: true }, { "B5.3b": /the end of TCP did not come/ }]
]

/** What takes its time. */
const underLoad: ReadonlyArray<readonly [what: string, faults: Partial<Faults>, found: Found]> = [
  ["reads on and on", { neverPauses: true }, { "B8.1": /it read everything though its program took nothing/ }],
  ["loses one message in a thousand", { losesMessages: true }, { "B8.1": /instead of opcode 1/ }],
  ["corrupts large messages", { corrupts: true }, { "B8.2": /4 MiB: a message of opcode 2 came back as another/ }],
  ["does not wait for its peer", { neverWaits: true }, { "B8.3": /its program sent all/ }],
  ["keeps every pong", { keepsPongs: true }, { "B8.4": /it keeps \d+ octets for a peer that does not read/ }]
]

/** What is waited for does not come, so it may as well not come soon. */
const IMPATIENCE = 0.2

const finds = async (role: Role, faults: Partial<Faults>, found: Found, patience: number): Promise<void> => {
  const verdicts = await against(faulty(faults), role, patience, (id) => id in found)
  assert.strictEqual(verdicts.size, Object.keys(found).length)
  for (const [id, { behavior, note }] of verdicts) {
    assert.strictEqual(behavior, "FAILED", id)
    assert.match(note, found[id]!, id)
  }
}

describe.concurrent("a server that", () => {
  it.each([...asServer, ...asBoth])("%s is seen", { timeout: 60_000 }, (_, faults, found) =>
    finds("server", faults, found, IMPATIENCE)
  )
})

describe.concurrent("a client that", () => {
  it.each([...asClient, ...asBoth])("%s is seen", { timeout: 60_000 }, (_, faults, found) =>
    finds("client", faults, found, IMPATIENCE)
  )
})

describe.each(roles)("under load a %s that", (role) => {
  it.each(underLoad)("%s is seen", { timeout: 60_000 }, (_, faults, found) => finds(role, faults, found, PATIENCE))
})
