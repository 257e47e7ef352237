import { assert, describe, it } from "vitest"
import type { Verdict } from "./judge.js"
import { markdown } from "./readme.js"
import type { Result } from "./results.js"

const ok: Verdict = { behavior: "OK", behaviorClose: "OK", note: "" }
const result = (target: Result["target"], role: Result["role"], id: string, verdict = ok): Result => ({
  target,
  role,
  id,
  milliseconds: 1,
  ...verdict
})

const late: Verdict = { ...ok, behavior: "NON-STRICT" }
const results = [
  result("ours", "server", "6.4.1"),
  result("ours", "server", "6.4.2"),
  result("ours", "client", "6.4.1"),
  result("ws", "server", "6.4.1", late),
  result("ws", "server", "6.4.2"),
  result("ours", "server", "13.1.1"),
  result("ours", "server", "2.1"),
  result("ours", "server", "B7.6")
]

const table = `| group | cases | our server | our client | \`ws\` server | \`ws\` client |
|---|---|---|---|---|---|
| 2 pings and pongs | 1 | 1 OK |  |  |  |
| 6 UTF-8 | 2 | 2 OK | 1 OK | 1 OK, 1 NON-STRICT |  |
| 13 permessage-deflate, seven sets of parameters | 1 | 1 OK |  |  |  |
| B7 compressed messages, right and wrong | 1 | 1 OK |  |  |  |
| all | 5 | 5 OK | 1 OK | 1 OK, 1 NON-STRICT |  |
`

describe("the README's table", () => {
  it("has a line for each group in the suite's order, blind spots last, and one for all", () => {
    assert.strictEqual(markdown(results), table)
  })
})
