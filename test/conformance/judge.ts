import { Buffer } from "node:buffer"
import type { Case, Event } from "./Case.js"
import type { Observation } from "./Fuzzer.js"

/** What a case was worth: how the testee behaved, and how it ended the connection. */

export type Behavior = "OK" | "NON-STRICT" | "INFORMATIONAL" | "UNIMPLEMENTED" | "FAILED"
export type BehaviorClose = "OK" | "INFORMATIONAL" | "UNCLEAN" | "WRONG CODE" | "FAILED BY CLIENT" | "FAILED"

export interface Verdict {
  readonly behavior: Behavior
  readonly behaviorClose: BehaviorClose
  /** What was seen, where it was not what was expected. */
  readonly note: string
}

/** Strict: what is merely tolerated has failed. */
export const isPassed = ({ behavior, behaviorClose }: Verdict): boolean =>
  (behavior === "OK" || behavior === "INFORMATIONAL") && (behaviorClose === "OK" || behaviorClose === "INFORMATIONAL")

/** As alike as the case demands. */
export const isSame = ({ compare }: Case, expected: Event, seen: Event): boolean =>
  expected.type === seen.type &&
  expected.payload.length === seen.payload.length &&
  (compare === "length" || Buffer.compare(expected.payload, seen.payload) === 0)

export const matches = (test: Case, expected: ReadonlyArray<Event>, seen: ReadonlyArray<Event>): boolean =>
  expected.length === seen.length && expected.every((event, i) => isSame(test, event, seen[i]!))

/** How many echoes its round trips have to bring. */
const echoesOf = ({ steps }: Case): number =>
  steps.reduce((sum, step) => (step._tag === "RoundTrips" ? sum + step.count : sum), 0)

/** Slow messages are judged by when the testee saw what is wrong: its first bad octet is in the second part. */
const judgeSlow = (events: ReadonlyArray<Event>, { partsSent, timedOut }: Observation): Behavior => {
  if (events.length > 0 || timedOut || partsSent < 2) return "FAILED"
  return partsSent === 2 ? "OK" : "NON-STRICT"
}

const judgeEvents = (test: Case, seen: Observation): Behavior => {
  if (seen.fault !== undefined) return "FAILED"
  if (test.steps.some(({ _tag }) => _tag === "Slowly")) return judgeSlow(seen.events, seen)
  // A testee that lets text pass which is no UTF-8 has failed, whatever its events.
  if (test.ending.codes.includes(1007) && test.ending.closedBy === "testee" && seen.closedBy === "fuzzer") {
    return "FAILED"
  }
  if (seen.echoes < echoesOf(test)) return "FAILED"
  if (matches(test, test.expected, seen.events)) return "OK"
  return test.tolerated.some((events) => matches(test, events, seen.events)) ? "NON-STRICT" : "FAILED"
}

/** The first rule that hits. */
const judgeClose = ({ id, ending }: Case, seen: Observation, role: "server" | "client"): BehaviorClose => {
  if ((ending.closedBy === "fuzzer") !== (seen.closedBy === "fuzzer")) return "FAILED"
  if (ending.clean && (seen.closeReceived === undefined || seen.dropped)) return "UNCLEAN"
  const code = seen.closeReceived?.code
  // Close codes are what group 7 is about.
  if (code !== undefined && !ending.codes.includes(code)) return id.startsWith("7.") ? "FAILED" : "WRONG CODE"
  return role === "server" && seen.dropped ? "FAILED BY CLIENT" : "OK"
}

const show = (events: ReadonlyArray<Event>): string =>
  events.length === 0
    ? "nothing"
    : events
        .map(({ type, payload }) => `${type}(${payload.length})`)
        .slice(0, 8)
        .join(" ")

const describe = (seen: Observation): string =>
  [
    seen.fault === undefined ? "" : `sent ${seen.fault}`,
    `saw ${show(seen.events)}${seen.echoes === 0 ? "" : ` and ${seen.echoes} echoes`}`,
    `first close by ${seen.closedBy ?? "nobody"}`,
    `its close ${seen.closeReceived === undefined ? "missing" : (seen.closeReceived.code ?? "without code")}`,
    seen.timedOut ? "timed out" : "",
    seen.dropped ? "had to be dropped" : ""
  ]
    .filter((part) => part !== "")
    .join("; ")

/** @param role the testee's. */
export const judge = (test: Case, seen: Observation, role: "server" | "client"): Verdict => {
  if (seen.refused !== undefined) return { behavior: "FAILED", behaviorClose: "FAILED", note: seen.refused }
  if (!seen.isAgreed) {
    const note = "permessage-deflate was not agreed on"
    return { behavior: "UNIMPLEMENTED", behaviorClose: judgeClose(test, seen, role), note }
  }
  if (test.informational) return { behavior: "INFORMATIONAL", behaviorClose: "INFORMATIONAL", note: describe(seen) }
  const verdict = { behavior: judgeEvents(test, seen), behaviorClose: judgeClose(test, seen, role) }
  return { ...verdict, note: isPassed({ ...verdict, note: "" }) ? "" : describe(seen) }
}
