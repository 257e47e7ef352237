import { assert, describe, it } from "vitest"
import { type Case, closesNormally, failsWith, make, roundTrips, saw } from "./Case.js"
import type { Observation } from "./Fuzzer.js"
import { judge } from "./judge.js"

/** The verdicts, rule by rule: the first that hits counts. */

const seen: Observation = {
  refused: undefined,
  isAgreed: true,
  events: [],
  closedBy: "fuzzer",
  closeReceived: { code: 1000 },
  dropped: false,
  fault: undefined,
  partsSent: 0,
  timedOut: false,
  echoes: 0
}
const failed = { ...seen, closedBy: "testee", closeReceived: { code: 1002 } } as const

const normal = make("1.1", [], { ending: closesNormally })
const echo = make("3.2", [], { ending: failsWith(1002), expected: [saw.text("a")], tolerated: [[]] })
const utf8 = make("6.3.1", [], { ending: failsWith(1007) })
const slow = make("6.4.1", [{ _tag: "Slowly", parts: [], as: "frames" }], { ending: failsWith(1007) })
const talk = make("12.1.1", [roundTrips(() => saw.text("a"), 1_000)], { deflate: [{}] })
const informed = make("7.1.6", [], { informational: true })
const badUtf8 = { ...failed, closeReceived: { code: 1007 } } as const

describe("judge", () => {
  it.each<readonly [what: string, test: Case, observation: Observation, behavior: string, close: string]>([
    ["a clean end", normal, seen, "OK", "OK"],
    ["a close frame without code", normal, { ...seen, closeReceived: { code: undefined } }, "OK", "OK"],
    ["another code", normal, { ...seen, closeReceived: { code: 1001 } }, "OK", "WRONG CODE"],
    ["another code in group 7", { ...normal, id: "7.3.3" }, { ...seen, closeReceived: { code: 1001 } }, "OK", "FAILED"],
    ["no close frame", normal, { ...seen, closeReceived: undefined }, "OK", "UNCLEAN"],
    ["TCP left open", normal, { ...seen, dropped: true }, "OK", "UNCLEAN"],
    ["a close frame of its own accord", normal, { ...seen, closedBy: "testee" }, "OK", "FAILED"],
    ["an event too many", normal, { ...seen, events: [saw.pong("")] }, "FAILED", "OK"],
    ["a frame that breaks a rule", normal, { ...seen, fault: "reserved bits 4" }, "FAILED", "OK"],
    ["no handshake", normal, { ...seen, refused: "404" }, "FAILED", "FAILED"],
    ["an echo, then failure", echo, { ...failed, events: [saw.text("a")] }, "OK", "OK"],
    ["failure before the echo", echo, failed, "NON-STRICT", "OK"],
    ["an echo of the other type", echo, { ...failed, events: [saw.binary("a")] }, "FAILED", "OK"],
    ["failure by dropping TCP", echo, { ...failed, closedBy: undefined, closeReceived: undefined }, "NON-STRICT", "OK"],
    ["failure that leaves TCP open", echo, { ...failed, dropped: true }, "NON-STRICT", "FAILED BY CLIENT"],
    ["no failure", echo, { ...seen, timedOut: true }, "NON-STRICT", "FAILED"],
    ["bad UTF-8 seen", utf8, badUtf8, "OK", "OK"],
    ["bad UTF-8 taken for another mistake", utf8, failed, "OK", "WRONG CODE"],
    ["bad UTF-8 let through", utf8, seen, "FAILED", "FAILED"],
    ["bad UTF-8 seen as it came", slow, { ...badUtf8, partsSent: 2 }, "OK", "OK"],
    ["bad UTF-8 seen at the end of the message", slow, { ...badUtf8, partsSent: 3 }, "NON-STRICT", "OK"],
    ["bad UTF-8 seen before it came", slow, { ...badUtf8, partsSent: 1 }, "FAILED", "OK"],
    ["all echoes", talk, { ...seen, echoes: 1_000 }, "OK", "OK"],
    ["an echo too few", talk, { ...seen, echoes: 999 }, "FAILED", "OK"],
    ["an echo too many", talk, { ...seen, echoes: 1_000, events: [saw.text("a")] }, "FAILED", "OK"],
    ["an extension that is not agreed on", talk, { ...seen, isAgreed: false }, "UNIMPLEMENTED", "OK"],
    ["what is recorded only", informed, { ...seen, closedBy: "testee" }, "INFORMATIONAL", "INFORMATIONAL"]
  ])("%s", (_, test, observation, behavior, close) => {
    const verdict = judge(test, observation, "server")
    assert.deepStrictEqual([verdict.behavior, verdict.behaviorClose], [behavior, close])
  })

  it("asks no client to drop TCP", () => {
    const dropped = { ...failed, events: [saw.text("a")], dropped: true }
    assert.strictEqual(judge(echo, dropped, "client").behaviorClose, "OK")
  })
})
