import { text } from "../Case.js"
import { type Bench, type Fields, requestText } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { answersGlued, glued } from "./expect.js"
import type { Peer } from "./Peer.js"
import { isAccepted, isRefused, opens, stillServes } from "./refusals.js"
import { openSockets } from "./sockets.js"

/** Requests that are right however they come, and clients that never come to one. RFC 6455 §4.2.1, RFC 9110 §5.6.1. */

/** A server sees two writes as two when so much time is between them, in milliseconds; usually. */
const GAP = 2

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** A request cut in two behind each of its octets, so many connections at a time. */
const cutEverywhere = async (bench: Bench, port: number, request: Buffer): Promise<void> => {
  const cuts = Array.from({ length: request.length - 1 }, (_, i) => i + 1).values()
  const work = async () => {
    for (const cut of cuts) {
      await each([[`cut behind octet ${cut}`, await bench.connect(port)]], async (peer) => {
        peer.write(request.subarray(0, cut))
        await pause(GAP)
        peer.write(request.subarray(cut))
        await opens(peer)
        peer.destroy()
      })
    }
  }
  await Promise.all(Array.from({ length: 16 }, work))
}

/** What a client does before it resets its connection. */
const stages: ReadonlyArray<readonly [name: string, stage: (peer: Peer) => Promise<void>]> = [
  ["after connecting", async () => {}],
  ["after half a request", async (peer) => peer.write(requestText().slice(0, 60))],
  ["before the answer", async (peer) => peer.write(requestText())],
  [
    "after the 101",
    async (peer) => {
      peer.write(requestText())
      await peer.head()
    }
  ],
  [
    "with a message on its way",
    async (peer) => {
      peer.write(requestText())
      await peer.head()
      peer.send(text("x".repeat(100_000)))
    }
  ]
]

const opening: ReadonlyArray<BlindSpot> = [
  {
    id: "B1.21",
    title: "Upgrade and Connection may have other members, other case and several lines",
    role: "server",
    run: (bench) =>
      each<Fields>(
        [
          ["other members", { Upgrade: "h2c, websocket", Connection: "keep-alive, Upgrade" }],
          ["other case", { Upgrade: "WEBSocket", Connection: "uPGRADE" }],
          ["two lines", { Upgrade: ["h2c", "websocket"], Connection: ["keep-alive", "Upgrade"] }],
          ["blanks and empty members", { Upgrade: ",\t websocket ,", Connection: " , keep-alive,\t,Upgrade " }],
          [
            "names in other case",
            { Upgrade: undefined, Connection: undefined, uPgRaDe: "websocket", CONNECTION: "upgrade" }
          ]
        ],
        (fields) => isAccepted(bench, requestText(fields))
      )
  },
  {
    id: "B1.22",
    title: "a request may be cut at every octet, and come octet by octet",
    role: "server",
    run: async (bench) => {
      const { port } = await bench.serve({ openTimeout: 60_000 })
      const request = Buffer.from(requestText())
      await cutEverywhere(bench, port, request)
      const peer = await bench.connect(port)
      await peer.chop(request, 1)
      await opens(peer)
    }
  },
  {
    id: "B1.23",
    title: "frames glued to the request are received",
    role: "server",
    run: async (bench) => {
      const { port } = await bench.serve()
      const whole = Buffer.from(requestText())
      const together = await bench.connect(port)
      together.write(Buffer.concat([whole, together.encode(glued)]))
      const inPart = await bench.connect(port)
      const bytes = inPart.encode(glued)
      inPart.write(Buffer.concat([whole, bytes.subarray(0, 9)]))
      await pause(GAP)
      inPart.write(bytes.subarray(9))
      await each([["whole", together] as const, ["in part", inPart] as const], async (peer) => {
        await peer.head()
        peer.startFraming()
        await answersGlued(peer)
      })
    }
  },
  {
    id: "B1.24",
    title: "a reset at any moment ends that connection, and nothing else",
    role: "server",
    run: async (bench) => {
      const server = await bench.serve()
      const sockets = openSockets(server.port)
      const tried = each(stages, async (stage) => {
        for (let i = 0; i < 10; i++) {
          const peer = await bench.connect(server.port)
          await stage(peer)
          peer.reset()
        }
        await stillServes(bench, server)
        await bench.until("that no connection is left", () => server.report.live === 0)
        demand(sockets.seen() > 0, "no socket of its was seen")
        await bench.until("that no socket is left", () => sockets.left() === 0)
      })
      await tried.finally(sockets.stop)
    }
  }
]

const OPEN_TIMEOUT = 500

/** A timer may fire a little early, by rounding, and late where the machine has other things to do; in milliseconds. */
const EARLY = 20
const LATE = 2_000

/** A client that does so is dropped at openTimeout: not before, and not much later. */
const isDropped = async (bench: Bench, port: number, talk: (peer: Peer) => () => void): Promise<void> => {
  const start = performance.now()
  const peer = await bench.connect(port)
  const stop = talk(peer)
  await peer.over().finally(stop)
  const after = Math.round(performance.now() - start)
  demand(after >= OPEN_TIMEOUT - EARLY, `it was dropped after ${after} ms, before openTimeout (${OPEN_TIMEOUT} ms)`)
  const limit = OPEN_TIMEOUT + bench.slack(LATE)
  demand(after < limit, `it was dropped after ${after} ms only, with an openTimeout of ${OPEN_TIMEOUT} ms`)
}

const slow: ReadonlyArray<BlindSpot> = [
  {
    id: "B1.25",
    title: "a client that says nothing, or an octet now and then, is dropped at openTimeout",
    role: "server",
    run: async (bench) => {
      const server = await bench.serve({ openTimeout: OPEN_TIMEOUT })
      const drip = (peer: Peer) => {
        const octets = Buffer.from(requestText()).values()
        const timer = setInterval(() => peer.write(Buffer.of(octets.next().value ?? 0)), 200)
        return () => clearInterval(timer)
      }
      const isDroppedWith = (name: string, talk: (peer: Peer) => () => void) =>
        each([[name, talk]], () => isDropped(bench, server.port, talk))
      await Promise.all([isDroppedWith("nothing", () => () => {}), isDroppedWith("an octet every 200 ms", drip)])
      await stillServes(bench, server)
    }
  }
]

const name = "Sec-WebSocket-Extensions"

const strange: ReadonlyArray<readonly [name: string, fields: Fields]> = [
  ["long blanks", { [name]: `x-a${" ".repeat(8_000)};${"\t".repeat(50)}b` }],
  ["__proto__", { [name]: "__proto__; __proto__=1, constructor; toString" }],
  ["1,000 offers", { [name]: Array.from({ length: 1_000 }, (_, i) => `x-${i}`).join(",") }],
  ["1,000 parameters", { [name]: `x-a${Array.from({ length: 1_000 }, (_, i) => `;p${i}`).join("")}` }],
  ["repeated parameters", { [name]: "x-a; b=1; b=2; b" }],
  ["a quoted token", { [name]: 'x-a; b="c"; d="\\e"' }],
  ["two lines", { [name]: ["x-a; b", "x-c"] }],
  ["only commas", { [name]: `x-a${",".repeat(8_000)}` }],
  ["1,000 subprotocols", { "Sec-WebSocket-Protocol": Array.from({ length: 1_000 }, (_, i) => `p${i}`).join(", ") }],
  ["__proto__ as a subprotocol", { "Sec-WebSocket-Protocol": "__proto__, constructor" }],
  ["blanks between subprotocols", { "Sec-WebSocket-Protocol": `a,${" ".repeat(8_000)}b` }]
]

const malformed: ReadonlyArray<readonly [name: string, fields: Fields]> = [
  ...[
    'x-a; b="c',
    'x-a; b="c\\',
    'x-a; b=""',
    'x-a; b="c d"',
    `x-a; b="${"\\".repeat(7_000)}`,
    "x-a;",
    "x-a; =b",
    "x-a; b=",
    "x-a b",
    ";",
    "x-a; b=c d",
    "x/a",
    `x-a${" ".repeat(8_000)}b`
  ].map((value) => [value.slice(0, 20), { [name]: value }] as const),
  ["blanks inside a subprotocol", { "Sec-WebSocket-Protocol": `a${" ".repeat(8_000)}b` }],
  ["a quote in a subprotocol", { "Sec-WebSocket-Protocol": `a, "${"b".repeat(7_000)}` }]
]

const lists: ReadonlyArray<BlindSpot> = [
  {
    id: "B1.26",
    title: "extensions and subprotocols are read in linear time: malformed ones get 400, unknown ones are not agreed",
    role: "server",
    run: async (bench) => {
      const { port } = await bench.serve()
      // At 8,000 octets whoever tries again from each of them has no answer while the harness waits for one.
      await each(strange, async (fields) => {
        const { head, peer } = await bench.upgrade(port, fields)
        for (const unknown of ["extensions", "protocol"]) {
          const agreed = head.headers.get(`sec-websocket-${unknown}`)
          demand(agreed === undefined, `it agreed to ${agreed}`)
        }
        await peer.echoes("without any")
      })
      await each(malformed, (fields) => isRefused(bench, requestText(fields), { status: 400 }))
    }
  }
]

export const group1Requests: ReadonlyArray<BlindSpot> = [...opening, ...slow, ...lists]
