import { type Bench, requestText } from "./Bench.js"
import { type BlindSpot, demand } from "./BlindSpot.js"
import { compressing, converses, openDeflated, type Sides } from "./deflating.js"
import { EXTENSIONS, fields, refuses } from "./group2.js"
import type { Task } from "./Testee.js"

/** What may be said about permessage-deflate in an opening handshake, and whether it is kept. RFC 7692 §7.1. */

/** A server that does not take an offer goes on without; one that cannot read it may also refuse the request. */
type OfServer = "agrees" | "agrees or declines" | "declines" | "declines or refuses"
/** A client that does not take an answer fails the handshake. */
type OfClient = "agrees" | "agrees or fails" | "fails"

interface Row {
  readonly id: string
  readonly title: string
  /** What follows the extension's name. */
  readonly parameters: string
  readonly sides?: Partial<Sides>
  readonly server?: OfServer
  readonly client?: OfClient
  readonly task?: Task
}

const sidesOf = ({ sides }: Row): Sides => ({ server: {}, client: {}, ...sides })

/** Whether a request with this offer was let in, and what was said of extensions. */
const answerTo = async (bench: Bench, header: string, task: Task) => {
  const { port } = await bench.serve(task)
  const peer = await bench.connect(port)
  peer.write(requestText({ [EXTENSIONS]: header }))
  const { headers, start } = await peer.head()
  return { peer, start, extensions: headers.get("sec-websocket-extensions") }
}

const declines = async (bench: Bench, header: string, mayRefuse: boolean, task: Task = compressing): Promise<void> => {
  const { extensions, peer, start } = await answerTo(bench, header, task)
  if (mayRefuse && /^HTTP\/1\.1 400( |$)/.test(start)) return
  demand(/^HTTP\/1\.1 101( |$)/.test(start), `the answer was ${start}`)
  demand(extensions === undefined, `it agreed to ${extensions}`)
  peer.startFraming()
  await peer.echoes("plain")
}

/** What a server said of the client's window is no more than the client offered, and nothing where it offered nothing. §7.1.2.2. */
const isTold = (answer: string, offer: string): void => {
  const told = /client_max_window_bits=(\d+)/.exec(answer)?.[1]
  const offered = /client_max_window_bits(?:="?(\d+))?/.exec(offer)
  if (told === undefined) return
  demand(offered !== null, `it tells a client its window that did not say it can be told: ${answer}`)
  demand(Number(told) <= Number(offered[1] ?? 15), `it tells a client a larger window than was offered: ${answer}`)
}

const agrees = async (bench: Bench, row: Row): Promise<void> => {
  const { deflate, head, peer } = await openDeflated(bench, row.parameters, sidesOf(row), row.task)
  if (bench.role === "server") isTold(head.headers.get("sec-websocket-extensions") ?? "", row.parameters)
  await converses(peer, deflate)
  peer.close(1000)
  const { close } = await peer.rest()
  demand(close?.code === 1000, `it answered a close frame with ${close?.code ?? "nothing"}`)
}

const asServer = async (bench: Bench, row: Row, how: OfServer): Promise<void> => {
  const header = `permessage-deflate${row.parameters}`
  const { task = compressing } = row
  if (how === "agrees") return agrees(bench, row)
  if (how !== "agrees or declines") return declines(bench, header, how === "declines or refuses", task)
  const { extensions } = await answerTo(bench, header, task)
  return extensions === undefined ? declines(bench, header, false, task) : agrees(bench, row)
}

const asClient = async (bench: Bench, row: Row, how: OfClient): Promise<void> => {
  const answer = fields({ [EXTENSIONS]: `permessage-deflate${row.parameters}` })
  const { task = compressing } = row
  const fails = () => refuses(bench, answer, { header: EXTENSIONS.toLowerCase() }, task)
  if (how === "agrees") return agrees(bench, row)
  if (how === "fails") return fails()
  return agrees(bench, row).catch(fails)
}

const spotOf = (row: Row): BlindSpot => ({
  id: row.id,
  title: row.title,
  role: row.server === undefined ? "client" : row.client === undefined ? "server" : "both",
  run: (bench) =>
    bench.role === "server"
      ? asServer(bench, row, row.server ?? "agrees")
      : asClient(bench, row, row.client ?? "agrees")
})

/** A window in every spelling, said of one side. */
const windows = (side: "server" | "client", first: number): ReadonlyArray<BlindSpot> => {
  const parameter = `${side}_max_window_bits`
  const bad = { server: "declines", client: "fails" } as const
  const good = (windowBits: number) =>
    ({ sides: { [side]: { windowBits } }, server: "agrees", client: "agrees" }) as const
  const rows: ReadonlyArray<readonly [value: string, outcome: Pick<Row, "sides" | "server" | "client">]> = [
    ["=7", bad],
    // zlib has no window of 8 bits, so not everybody can keep to one.
    ["=8", { ...good(8), server: "agrees or declines", client: side === "client" ? "agrees or fails" : "agrees" }],
    ["=9", good(9)],
    ["=15", good(15)],
    ["=16", bad],
    ["=08", bad],
    ["=+9", bad],
    ['="9"', good(9)],
    ["=", { server: "declines or refuses", client: "fails" }],
    // Only a client may say that it can be told without saying to what.
    ["", side === "client" ? { ...bad, server: "agrees" } : bad]
  ]
  return rows.map(([value, outcome], i) =>
    spotOf({
      id: `B6.${first + i}`,
      title: `${parameter}${value}: ${outcome.server} as a server, ${outcome.client} as a client`,
      parameters: `; ${parameter}${value}`,
      ...outcome
    })
  )
}

const bits9 = { windowBits: 9 } as const
const fresh = { noContextTakeover: true } as const
const spoiled = { server: "declines", client: "fails" } as const

const contexts: ReadonlyArray<BlindSpot> = [
  spotOf({
    id: "B6.21",
    title: "server_no_context_takeover is kept",
    parameters: "; server_no_context_takeover",
    sides: { server: fresh },
    server: "agrees",
    client: "agrees"
  }),
  spotOf({
    id: "B6.22",
    title: "client_no_context_takeover is kept",
    parameters: "; client_no_context_takeover",
    sides: { client: fresh },
    server: "agrees",
    client: "agrees"
  }),
  spotOf({
    id: "B6.23",
    title: "all four parameters at once are kept",
    parameters:
      "; client_max_window_bits=9; server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover",
    sides: { server: { ...fresh, windowBits: 10 }, client: { ...fresh, ...bits9 } },
    server: "agrees",
    client: "agrees"
  })
]

const several = (id: string, title: string, rows: ReadonlyArray<Omit<Row, "id" | "title">>): BlindSpot => {
  const spots = rows.map((row) => spotOf({ id, title, ...row }))
  const roles = new Set(spots.map(({ role }) => role))
  return {
    id,
    title,
    role: roles.size === 1 ? spots[0]!.role : "both",
    run: async (bench) => {
      for (const { role, run } of spots) if (role === "both" || role === bench.role) await run(bench)
    }
  }
}

const wrong: ReadonlyArray<BlindSpot> = [
  several("B6.24", "a value for what has none is not agreed to", [
    { parameters: "; server_no_context_takeover=true", ...spoiled },
    { parameters: "; client_no_context_takeover=1", ...spoiled },
    { parameters: '; client_no_context_takeover=""', server: "declines or refuses", client: "fails" }
  ]),
  several("B6.25", "a parameter that is there twice is not agreed to", [
    { parameters: "; server_no_context_takeover; server_no_context_takeover", ...spoiled },
    { parameters: "; client_max_window_bits=9; client_max_window_bits=9", ...spoiled },
    { parameters: "; server_max_window_bits=9; server_max_window_bits=10", ...spoiled }
  ]),
  several("B6.26", "an unknown parameter is not agreed to", [
    { parameters: "; level=9", ...spoiled },
    { parameters: "; server_max_window_bits=9; x", ...spoiled },
    { parameters: "; __proto__", ...spoiled },
    { parameters: "; Server_No_Context_Takeover", ...spoiled }
  ])
]

/** Offers of which one has to be taken, told by what only its answer says. */
const choosing: BlindSpot = {
  id: "B6.27",
  title: "of several offers the first that can be taken is, and of several answers none",
  role: "both",
  run: async (bench) => {
    const one = "permessage-deflate; server_no_context_takeover"
    const other = "permessage-deflate; server_max_window_bits=10"
    if (bench.role === "client") {
      for (const more of [", permessage-deflate", ", x-unknown"]) {
        await asClient(bench, { id: "", title: "", parameters: more }, "fails")
      }
      return
    }
    const orders: ReadonlyArray<readonly [offers: string, chosen: RegExp]> = [
      [`${one}, ${other}`, /^permessage-deflate *; *server_no_context_takeover$/],
      [`${other}, ${one}`, /^permessage-deflate *; *server_max_window_bits=(8|9|10)$/],
      [`x-unknown; a=b, permessage-deflate; mode=7, ${one}, ${other}`, /server_no_context_takeover$/],
      [`permessage-deflate; server_max_window_bits=7, ${other}`, /server_max_window_bits=(8|9|10)$/]
    ]
    for (const [offers, chosen] of orders) {
      const { extensions = "nothing" } = await answerTo(bench, offers, compressing)
      demand(chosen.test(extensions), `of ${offers} it chose ${extensions}`)
    }
  }
}

const narrowClient: Task = { compression: { threshold: 0, clientMaxWindowBits: 10 } }
const narrowServer: Task = { compression: { threshold: 0, serverMaxWindowBits: 10 } }

const asked: ReadonlyArray<BlindSpot> = [
  several("B6.28", "what a testee wants of its peer's messages it demands, or does without compression", [
    // A client that cannot be told its window must not be.
    { parameters: "", task: narrowClient, server: "declines" },
    {
      parameters: "; client_max_window_bits=12",
      task: narrowClient,
      sides: { client: { windowBits: 10 } },
      server: "agrees"
    },
    { parameters: "", task: narrowServer, client: "fails" },
    { parameters: "; server_max_window_bits=11", task: narrowServer, client: "fails" },
    { parameters: "; server_max_window_bits=9", task: narrowServer, sides: { server: bits9 }, client: "agrees" },
    { parameters: "", task: { compression: { threshold: 0, serverNoContextTakeover: true } }, client: "fails" }
  ]),
  several("B6.29", "what a testee says of its own messages holds, and is not made more", [
    { parameters: "; client_max_window_bits=11", task: narrowClient, client: "fails" },
    { parameters: "", task: narrowClient, sides: { client: { windowBits: 10 } }, client: "agrees" },
    {
      parameters: "",
      task: { compression: { threshold: 0, clientNoContextTakeover: true } },
      sides: { client: fresh },
      client: "agrees"
    },
    { parameters: "", task: narrowServer, sides: { server: { windowBits: 10 } }, server: "agrees" }
  ])
]

const malformed = { server: "declines or refuses", client: "fails" } as const

const grammar: BlindSpot = several("B6.30", "what is no list of extensions is not agreed to", [
  { parameters: ";", ...malformed },
  { parameters: ";;server_no_context_takeover", ...malformed },
  { parameters: "; =9", ...malformed },
  { parameters: " server_no_context_takeover", ...malformed },
  { parameters: '; server_max_window_bits="9', ...malformed },
  { parameters: "; server_max_window_bits==9", ...malformed },
  { parameters: "; server_max_window_bits=9=9", ...malformed }
])

const bits8 = { windowBits: 8 } as const

const narrowest: BlindSpot = several("B6.31", "a window of 8 bits on both sides is served, or not agreed to", [
  {
    parameters: "; server_max_window_bits=8; client_max_window_bits=8",
    sides: { server: bits8, client: bits8 },
    server: "agrees or declines",
    client: "agrees or fails"
  },
  {
    parameters:
      "; server_max_window_bits=8; server_no_context_takeover; client_max_window_bits=8; client_no_context_takeover",
    sides: { server: { ...bits8, ...fresh }, client: { ...bits8, ...fresh } },
    server: "agrees or declines",
    client: "agrees or fails"
  }
])

/** Beyond the table: compression is off unless it is turned on. */
const off: BlindSpot = {
  id: "B6.32",
  title: "compression that is off is neither offered nor agreed to",
  role: "both",
  run: async (bench) => {
    if (bench.role === "server") return declines(bench, "permessage-deflate; client_max_window_bits", false, {})
    const { head } = await bench.open()
    demand(!head.headers.has("sec-websocket-extensions"), "it offered an extension")
  }
}

export const group6: ReadonlyArray<BlindSpot> = [
  ...windows("server", 1),
  ...windows("client", 11),
  ...contexts,
  ...wrong,
  choosing,
  ...asked,
  grammar,
  narrowest,
  off
]
