import { FastCheck as fc } from "effect"
import { assert, describe, expect, it } from "vitest"
import { type Close, type Role, violation } from "../../src/protocol/Frame.js"
import * as Protocol from "../../src/protocol/Protocol.js"

const roles: ReadonlyArray<Role> = ["client", "server"]
const tags = ["Open", "Closing", "Draining", "Closed"] as const
type Tag = (typeof tags)[number]

const ours: Close = { code: 4000, reason: "we go" }
const theirs: Close = { code: 4001, reason: "they go" }
const reply: Close = { code: 4001, reason: "" }
const refusal: Close = { code: 1007, reason: "not UTF-8" }
const bad = violation(1007, "not UTF-8")
const reset = new Error("ECONNRESET")

const closure = (change: Partial<Protocol.Closure> = {}): Protocol.Closure => ({
  sent: undefined,
  received: undefined,
  initiator: "local",
  cause: undefined,
  ...change
})

/** A state of each kind. */
const states: { readonly [K in Tag]: Protocol.State } = {
  Open: Protocol.open,
  Closing: { _tag: "Closing", closure: closure({ sent: ours }) },
  Draining: { _tag: "Draining", closure: closure({ sent: ours, received: theirs, initiator: "remote" }) },
  Closed: { _tag: "Closed", closure: closure({ sent: ours, received: theirs }) }
}

type Apply = (role: Role, state: Protocol.State) => Protocol.Step

const inputs = {
  startClose: (_, state) => Protocol.startClose(state, ours),
  receiveClose: (role, state) => Protocol.receiveClose(role, state, theirs),
  fail: (_, state) => Protocol.fail(state, bad),
  receiveEnd: (_, state) => Protocol.receiveEnd(state),
  loseWithError: (_, state) => Protocol.lose(state, reset),
  loseWithout: (_, state) => Protocol.lose(state, undefined),
  expire: (_, state) => Protocol.expire(state),
  abandon: (_, state) => Protocol.abandon(state, ours)
} satisfies Record<string, Apply>
type Input = keyof typeof inputs

const apply = (role: Role, state: Protocol.State, input: Input) => (inputs[input] as Apply)(role, state)

type Said = "end" | "cut" | Close
const output = (said: Said): Protocol.Output =>
  said === "end" ? { _tag: "EndOfStream" } : said === "cut" ? { _tag: "Destroy" } : { _tag: "Close", close: said }

const violated: Partial<Protocol.Closure> = { cause: { _tag: "Violation", violation: bad } }
const ended: Partial<Protocol.Closure> = { cause: { _tag: "EndOfStream" } }
const broken: Partial<Protocol.Closure> = { cause: { _tag: "TransportError", error: reset } }
const answered: Partial<Protocol.Closure> = { sent: reply, received: theirs, initiator: "remote" }

/** The next state, what its closure has that the former one had not, and what goes to the peer. */
type Change = readonly [to: Tag, news: Partial<Protocol.Closure>, said: ReadonlyArray<Said>]
type Row = { readonly [K in Input]?: Change | ((role: Role) => Change) }

/** What each state does at each input; what is not here changes nothing and says nothing. */
const changes: { readonly [K in Tag]: Row } = {
  Open: {
    startClose: ["Closing", { sent: ours }, [ours]],
    receiveClose: (role) => ["Draining", answered, role === "server" ? [reply, "end"] : [reply]],
    fail: ["Draining", { sent: refusal, ...violated }, [refusal, "end"]],
    receiveEnd: ["Closed", { initiator: "remote", ...ended }, ["cut"]],
    loseWithError: ["Closed", { initiator: "remote", ...broken }, ["cut"]],
    loseWithout: ["Closed", { initiator: "remote", ...ended }, ["cut"]],
    abandon: ["Closed", { sent: ours, cause: { _tag: "KeepaliveTimeout" } }, [ours, "cut"]]
  },
  Closing: {
    receiveClose: (role) => ["Draining", { received: theirs }, role === "server" ? ["end"] : []],
    fail: ["Draining", violated, ["end"]],
    receiveEnd: ["Closed", ended, ["cut"]],
    loseWithError: ["Closed", broken, ["cut"]],
    loseWithout: ["Closed", ended, ["cut"]],
    expire: ["Closed", { cause: { _tag: "CloseTimeout" } }, ["cut"]]
  },
  Draining: {
    receiveEnd: ["Closed", {}, ["end", "cut"]],
    loseWithError: ["Closed", {}, ["cut"]],
    loseWithout: ["Closed", {}, ["cut"]],
    expire: ["Closed", {}, ["cut"]]
  },
  Closed: {}
}

const inputNames = Object.keys(inputs) as ReadonlyArray<Input>

const table = roles.flatMap((role) =>
  tags.flatMap((from) =>
    inputNames.map((input) => {
      const found = changes[from][input]
      const change = typeof found === "function" ? found(role) : found
      return { role, from, input, to: change?.[0] ?? from, change }
    })
  )
)

describe("L4: Protocol, the whole table", () => {
  it.each(table)("a $role in $from, at $input, is then in $to", ({ role, from, input, change }) => {
    const state = states[from]
    const step = apply(role, state, input)
    if (change === undefined) {
      assert.strictEqual(step.state, state)
      assert.deepStrictEqual(step.output, [])
      return
    }
    const [to, news, said] = change
    const before = state._tag === "Open" ? closure() : state.closure
    assert.deepStrictEqual<unknown>(step.state, { _tag: to, closure: { ...before, ...news } })
    assert.deepStrictEqual(step.output, said.map(output))
  })
})

/** One input after another, from Open: each step with the state before it. */
const run = (role: Role, names: ReadonlyArray<Input>) => {
  let state = Protocol.open
  return names.map((input) => {
    const before = state
    const step = apply(role, before, input)
    state = step.state
    return { before, ...step }
  })
}

const someInputs = fc.array(fc.constantFrom(...inputNames), { minLength: 1, maxLength: 12 })
const someRole = fc.constantFrom(...roles)

describe("L4: Protocol, any run of inputs", () => {
  it("is in Closed behind the end of the peer's stream or the loss of the transport, and stays there", () => {
    const last = fc.constantFrom<Input>("receiveEnd", "loseWithError", "loseWithout")
    fc.assert(
      fc.property(someRole, someInputs, last, someInputs, (role, before, end, after) => {
        const steps = run(role, [...before, end, ...after])
        const closed = steps[before.length]!.state
        expect(closed._tag).toBe("Closed")
        expect(steps.at(-1)!.state).toBe(closed)
      })
    )
  })

  it("sends one close frame at most, from Open alone: never from Draining or Closed", () => {
    fc.assert(
      fc.property(someRole, someInputs, (role, names) => {
        const steps = run(role, names)
        const closes = steps.filter(({ output }) => output.some(({ _tag }) => _tag === "Close"))
        expect(closes.length).toBeLessThanOrEqual(1)
        for (const { before } of closes) expect(before._tag).toBe("Open")
      })
    )
  })

  it("cuts the transport once, when it becomes Closed, and says nothing afterwards", () => {
    fc.assert(
      fc.property(someRole, someInputs, (role, names) => {
        for (const { before, state, output } of run(role, names)) {
          const cuts = output.filter(({ _tag }) => _tag === "Destroy").length
          expect(cuts).toBe(before._tag !== "Closed" && state._tag === "Closed" ? 1 : 0)
          if (cuts === 1) expect(output.at(-1)?._tag).toBe("Destroy")
          if (before._tag === "Closed") expect(output).toEqual([])
        }
      })
    )
  })

  it("never goes back", () => {
    fc.assert(
      fc.property(someRole, someInputs, (role, names) => {
        for (const { before, state } of run(role, names)) {
          expect(tags.indexOf(state._tag)).toBeGreaterThanOrEqual(tags.indexOf(before._tag))
        }
      })
    )
  })

  it("records the close frame that it has sent, and a cause wherever no close frame was received", () => {
    fc.assert(
      fc.property(someRole, someInputs, (role, names) => {
        const steps = run(role, names)
        const { state } = steps.at(-1)!
        if (state._tag === "Open") return
        const sent = steps.flatMap(({ output }) => output).find((item) => item._tag === "Close")
        expect(state.closure.sent).toEqual(sent?.close)
        const { cause, received } = state.closure
        expect(cause !== undefined || received !== undefined || state._tag === "Closing").toBe(true)
      })
    )
  })
})

describe("L4: Protocol.receiveClose", () => {
  it("answers with the same code and no reason, and with no code where there was none", () => {
    for (const code of [1000, 1001, 1011, 3000, 1005]) {
      const { output } = Protocol.receiveClose("client", Protocol.open, { code, reason: "because" })
      expect(output).toEqual([{ _tag: "Close", close: { code, reason: "" } }])
    }
  })
})

describe("L4: Protocol.isClean", () => {
  const both = (sent: number, received: number): Protocol.Closure =>
    closure({ sent: { code: sent, reason: "" }, received: { code: received, reason: "" } })

  it.each([1000, 1001, 1005])("is true where one close frame has %i and the other 1000, 1001 or no code", (code) => {
    for (const other of [1000, 1001, 1005]) {
      expect(Protocol.isClean(both(code, other))).toBe(true)
      expect(Protocol.isClean({ ...both(other, code), initiator: "remote" })).toBe(true)
    }
  })

  it.each([1002, 1006, 1007, 1011, 1012, 3000, 4000])("is false where one of the codes is %i", (code) => {
    expect(Protocol.isClean(both(code, 1000))).toBe(false)
    expect(Protocol.isClean(both(1000, code))).toBe(false)
  })

  it("is false without both close frames, or with a cause", () => {
    expect(Protocol.isClean(closure())).toBe(false)
    expect(Protocol.isClean({ ...both(1000, 1000), sent: undefined })).toBe(false)
    expect(Protocol.isClean({ ...both(1000, 1000), received: undefined })).toBe(false)
    expect(Protocol.isClean({ ...both(1000, 1000), cause: { _tag: "CloseTimeout" } })).toBe(false)
  })
})
