import { assert, describe, it } from "vitest"
import { agreed, answer, type Demand, offer } from "./extensions.js"

/** Who says what about permessage-deflate. RFC 7692 §7.1. */

const plain = { noContextTakeover: false, windowBits: 15 }
const fresh: Demand = { noContextTakeover: true }
const narrow: Demand = { windowBits: 9 }

describe("a client's side", () => {
  it("offers what is asked of the server, and that it can be told", () => {
    const can = "client_no_context_takeover; client_max_window_bits"
    assert.strictEqual(offer([{}]), `permessage-deflate; ${can}`)
    assert.strictEqual(
      offer([{ ...fresh, ...narrow }, {}]),
      `permessage-deflate; server_no_context_takeover; server_max_window_bits=9; ${can}, permessage-deflate; ${can}`
    )
  })

  it.each<readonly [header: string, demands: ReadonlyArray<Demand>, own: Demand, peer: Demand]>([
    ["permessage-deflate", [{}], {}, {}],
    ["permessage-deflate; server_no_context_takeover", [{}], {}, fresh],
    ['permessage-deflate ;server_max_window_bits="9"', [narrow], {}, narrow],
    ["permessage-deflate; server_max_window_bits=8", [narrow], {}, { windowBits: 8 }],
    [
      "permessage-deflate; client_max_window_bits=10; client_no_context_takeover",
      [{}],
      { ...fresh, windowBits: 10 },
      {}
    ],
    ["permessage-deflate", [{ ...fresh, ...narrow }, fresh, {}], {}, {}]
  ])("takes %s", (header, demands, own, peer) => {
    assert.deepStrictEqual(agreed(header, demands), { own: { ...plain, ...own }, peer: { ...plain, ...peer } })
  })

  it("takes no extension for an answer", () => {
    assert.isUndefined(agreed(undefined, [narrow]))
  })

  it.each<readonly [header: string, demands: ReadonlyArray<Demand>, why: string]>([
    ["", [{}], "no list"],
    ["permessage-deflate;", [{}], "no list"],
    ["permessage-deflate; server_max_window_bits=", [{}], "no list"],
    ["permessage-bzip2", [{}], "not known"],
    ["permessage-deflate, permessage-deflate", [{}], "not one extension"],
    ["permessage-deflate, x-other", [{}], "not one extension"],
    ["permessage-deflate; mode=fast", [{}], "not known"],
    ["permessage-deflate; server_no_context_takeover; server_no_context_takeover", [{}], "twice"],
    ["permessage-deflate; server_no_context_takeover=true", [{}], "a value"],
    ["permessage-deflate; server_max_window_bits", [{}], "no value"],
    ["permessage-deflate; client_max_window_bits", [{}], "no value"],
    ["permessage-deflate; server_max_window_bits=7", [{}], "7 for"],
    ["permessage-deflate; server_max_window_bits=16", [{}], "16 for"],
    ["permessage-deflate; client_max_window_bits=08", [{}], "08 for"],
    ["permessage-deflate; server_max_window_bits=10", [narrow], "less than was asked"],
    ["permessage-deflate", [narrow], "less than was asked"],
    ["permessage-deflate; server_max_window_bits=9", [fresh], "less than was asked"]
  ])("refuses %s", (header, demands, why) => {
    assert.throws(() => agreed(header, demands), why)
  })
})

describe("a server's side", () => {
  it.each<readonly [header: string, demands: ReadonlyArray<Demand>, says: string]>([
    ["permessage-deflate", [{}], ""],
    ["x-other, permessage-deflate; client_max_window_bits", [{}], ""],
    [
      "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
      [{}],
      "; server_no_context_takeover; server_max_window_bits=10"
    ],
    ["permessage-deflate; client_max_window_bits", [narrow], "; client_max_window_bits=9"],
    ["permessage-deflate; client_max_window_bits=9", [narrow], "; client_max_window_bits=9"],
    ["permessage-deflate", [fresh], "; client_no_context_takeover"],
    ["permessage-deflate", [{ ...fresh, ...narrow }, fresh, {}], "; client_no_context_takeover"]
  ])("answers %s", (header, demands, says) => {
    assert.strictEqual(answer(header, demands)?.header, `permessage-deflate${says}`)
  })

  it("sees itself bound by what it granted, and the client by what it demanded", () => {
    const answered = answer("permessage-deflate; server_max_window_bits=10; client_max_window_bits", [narrow])
    assert.deepStrictEqual(answered?.agreement, {
      own: { ...plain, windowBits: 10 },
      peer: { ...plain, windowBits: 9 }
    })
  })

  it.each([
    ["nothing", undefined],
    ["another extension", "permessage-bzip2; level=9"],
    ["a client that cannot be told its window", "permessage-deflate"],
    ["a client whose window is smaller", "permessage-deflate; client_max_window_bits=8"]
  ])("declines %s", (_, header) => {
    assert.isUndefined(answer(header, [narrow]))
  })

  it.each([
    "permessage-deflate; mode",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
    "permessage-deflate; =",
    "permessage-deflate,"
  ])("refuses %s", (header) => {
    assert.throws(() => answer(header, [{}]))
  })
})
