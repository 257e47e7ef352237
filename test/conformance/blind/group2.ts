import type { Head } from "../handshake.js"
import { answerText, type Bench, type Fields } from "./Bench.js"
import { type BlindSpot, demand, each } from "./BlindSpot.js"
import { answersGlued, glued } from "./expect.js"
import type { Peer } from "./Peer.js"
import type { Opening, Task } from "./Testee.js"

/** Answers that a client must not take for an open connection, and what it says of them. RFC 6455 §4.1. */

type Failure = Extract<Opening, { readonly _tag: "Failed" }>

/** A testee's client dials, its request is read, and this is what it gets. */
const answered = async (bench: Bench, answer: (peer: Peer, head: Head) => void, task: Task): Promise<Failure> => {
  const { accept, url } = await bench.listen()
  const client = bench.dial(url, task)
  const peer = await accept()
  answer(peer, await peer.head())
  const opening = await bench.inTime("the testee's opening", client.opening)
  demand(opening._tag === "Failed", "it took that for an open connection")
  await peer.over()
  demand(opening.sentence.length > 20, `what it says of that is "${opening.sentence}"`)
  return opening
}

/** That a handshake failed: a `HandshakeError` because of a header, or because of the status; TCP is over. */
export const refuses = async (
  bench: Bench,
  answer: (peer: Peer, head: Head) => void,
  expected: { readonly header: string } | { readonly status: number; readonly body?: string },
  task: Task = {}
): Promise<void> => {
  const { body, error, header, reason, sentence, status } = await answered(bench, answer, task)
  demand(error === "HandshakeError", `it failed with ${error}: ${sentence}`)
  if ("header" in expected) {
    const is = reason === "InvalidHeader" && header?.toLowerCase() === expected.header
    demand(is, `it named ${reason} ${header ?? status}, not ${expected.header}: ${sentence}`)
  } else {
    const is = reason === "Rejected" && status === expected.status
    demand(is, `it named ${reason} ${status ?? header}, not the status ${expected.status}: ${sentence}`)
    const content = Buffer.from(body ?? []).toString()
    demand(content === (expected.body ?? ""), `the body it gives is ${JSON.stringify(content)}`)
  }
}

/** An answer that is right but for these. */
export const fields =
  (...args: readonly [fields: Fields, line?: string]) =>
  (peer: Peer, head: Head): void =>
    peer.write(answerText(head, ...args))

/** Answers that are wrong by a header of theirs. */
const wrongHeader = (
  id: string,
  header: string,
  situations: ReadonlyArray<readonly [name: string, fields: Fields]>,
  task?: Task
): BlindSpot => ({
  id,
  title: `an answer whose ${header} is wrong fails the handshake`,
  role: "client",
  run: (bench) => each(situations, (wrong) => refuses(bench, fields(wrong), { header: header.toLowerCase() }, task))
})

const ACCEPT = "Sec-WebSocket-Accept"
const PROTOCOL = "Sec-WebSocket-Protocol"
export const EXTENSIONS = "Sec-WebSocket-Extensions"

const headers: ReadonlyArray<BlindSpot> = [
  wrongHeader("B2.1", ACCEPT, [
    ["missing", { [ACCEPT]: undefined }],
    ["of another key", { [ACCEPT]: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }],
    ["empty", { [ACCEPT]: "" }],
    ["twice", { [ACCEPT]: ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] }]
  ]),
  wrongHeader("B2.2", "Upgrade", [
    ["another protocol", { Upgrade: "h2c" }],
    ["a longer word", { Upgrade: "websockets" }]
  ]),
  wrongHeader("B2.3", "Connection", [["a longer word", { Connection: "upgrade-now" }]]),
  wrongHeader("B2.4", PROTOCOL, [["unasked", { [PROTOCOL]: "chat" }]]),
  wrongHeader(
    "B2.5",
    PROTOCOL,
    [
      ["two in one header", { [PROTOCOL]: "chat, superchat" }],
      ["two headers", { [PROTOCOL]: ["chat", "superchat"] }],
      ["the same twice", { [PROTOCOL]: ["chat", "chat"] }],
      ["in other case", { [PROTOCOL]: "Chat" }],
      ["another", { [PROTOCOL]: "echo" }]
    ],
    { subprotocols: ["chat", "superchat"] }
  ),
  wrongHeader("B2.6", EXTENSIONS, [
    ["unasked", { [EXTENSIONS]: "permessage-deflate" }],
    ["unknown", { [EXTENSIONS]: "x-unknown; a=b" }],
    ["__proto__", { [EXTENSIONS]: "__proto__" }]
  ]),
  wrongHeader("B2.7", EXTENSIONS, [
    ["twice in one header", { [EXTENSIONS]: "permessage-deflate, permessage-deflate" }],
    ["two headers", { [EXTENSIONS]: ["permessage-deflate", "permessage-deflate"] }],
    ["malformed", { [EXTENSIONS]: 'permessage-deflate; a="' }]
  ])
]

const nothing: Fields = { Upgrade: undefined, Connection: undefined, [ACCEPT]: undefined }

/** An answer that is no 101, after which TCP would stay. */
const other =
  (line: string, more: Fields, body = "") =>
  (peer: Peer) => {
    const head = { start: "", headers: new Map<string, string>(), rest: Buffer.alloc(0) }
    peer.write(answerText(head, { ...nothing, ...more }, `HTTP/1.1 ${line}`) + body)
  }

const statuses: ReadonlyArray<BlindSpot> = [
  {
    id: "B2.8",
    title: "an answer in HTTP/1.0 fails the handshake",
    role: "client",
    run: async (bench) => {
      const { error, sentence } = await answered(bench, fields({}, "HTTP/1.0 101 Switching Protocols"), {})
      demand(error === "HandshakeError", `it failed with ${error}: ${sentence}`)
    }
  },
  {
    id: "B2.9",
    title: "status 200 fails the handshake, with the headers of an upgrade or without",
    role: "client",
    run: (bench) =>
      each(
        [
          ["a page", other("200 OK", { "Content-Length": "5" }, "hello")] as const,
          ["as if it were 101", fields({ "Content-Length": "5" }, "HTTP/1.1 200 OK")] as const
        ],
        (answer) =>
          refuses(
            bench,
            (peer, head) => {
              answer(peer, head)
              if (answer.length === 2) peer.write("hello")
            },
            { status: 200, body: "hello" }
          )
      )
  },
  {
    id: "B2.10",
    title: "status 301 without Location fails the handshake",
    role: "client",
    run: (bench) => refuses(bench, other("301 Moved Permanently", { "Content-Length": "0" }), { status: 301 })
  },
  {
    id: "B2.11",
    title: "status 401 fails the handshake, and its body is there to be read",
    role: "client",
    run: (bench) =>
      refuses(
        bench,
        other("401 Unauthorized", { "WWW-Authenticate": 'Basic realm="here"', "Content-Length": "11" }, "who are you"),
        { status: 401, body: "who are you" }
      )
  },
  {
    id: "B2.12",
    title: "a head over 16 KiB is a typed error",
    role: "client",
    run: (bench) =>
      each(
        [
          ["one header", { "X-Long": "x".repeat(17_000) }],
          ["many headers", Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`X-${i}`, "x".repeat(500)]))],
          ["a header without end", { "X-Long": "x".repeat(1_000_000) }]
        ] as ReadonlyArray<readonly [string, Fields]>,
        async (more) => {
          const { error, sentence } = await answered(bench, fields(more), {})
          demand(error === "HandshakeError" || error === "TransportError", `it failed with ${error}: ${sentence}`)
        }
      )
  }
]

/** A connection whose answer comes in two parts with frames glued to it; the frames are received. */
const cut = async (bench: Bench, url: string, accept: () => Promise<Peer>, at: number | "octets"): Promise<void> => {
  const { opening } = bench.dial(url, { openTimeout: 60_000 })
  const peer = await accept()
  const answer = Buffer.from(answerText(await peer.head()))
  const bytes = Buffer.concat([answer, peer.encode(glued)])
  if (at === "octets") await peer.chop(bytes, 1)
  else {
    peer.write(bytes.subarray(0, at))
    await new Promise((resolve) => setTimeout(resolve, 2))
    peer.write(bytes.subarray(at))
  }
  peer.startFraming()
  const opened = await bench.inTime("the testee's opening", opening)
  demand(opened._tag === "Opened", opened._tag === "Failed" ? `it did not connect: ${opened.sentence}` : "")
  await answersGlued(peer)
  peer.destroy()
}

const breaking: ReadonlyArray<readonly [name: string, end: (peer: Peer) => void]> = [
  ["FIN before the answer", (peer) => peer.end()],
  ["reset before the answer", (peer) => peer.reset()],
  [
    "FIN in the middle of the head",
    (peer) => {
      peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgra")
      peer.end()
    }
  ],
  [
    "reset in the middle of the head",
    (peer) => {
      peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgra")
      setTimeout(() => peer.reset(), 20)
    }
  ],
  ["no HTTP", (peer) => peer.write("SSH-2.0-OpenSSH_9.6\r\n")]
]

const OPEN_TIMEOUT = 400

const streams: ReadonlyArray<BlindSpot> = [
  {
    id: "B2.13",
    title: "a 101 may be cut at every octet, and frames glued to it are received",
    role: "client",
    run: async (bench) => {
      const { accept, url } = await bench.listen()
      // The head's length does not depend on the key.
      const length = answerText({ start: "", headers: new Map(), rest: Buffer.alloc(0) }).length + 20
      await each([["octet by octet", "octets"] as const], (at) => cut(bench, url, accept, at))
      for (let at = 1; at <= length; at++) {
        await each([[`cut behind octet ${at}`, at] as const], () => cut(bench, url, accept, at))
      }
    }
  },
  {
    id: "B2.14a",
    title: "a server that is silent, or drips, makes the handshake fail at openTimeout",
    role: "client",
    run: (bench) =>
      each(
        [
          ["silence", () => () => {}] as const,
          [
            "an octet every 50 ms",
            (peer: Peer) => {
              const octets = Buffer.from("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket").values()
              const timer = setInterval(() => peer.write(Buffer.of(octets.next().value ?? 0)), 50)
              return () => clearInterval(timer)
            }
          ] as const
        ],
        async (talk) => {
          const start = performance.now()
          let stop = () => {}
          const begin = (peer: Peer) => {
            stop = talk(peer)
          }
          const { error, reason } = await answered(bench, begin, { openTimeout: OPEN_TIMEOUT }).finally(() => stop())
          demand(error === "HandshakeError" && reason === "Timeout", `it failed with ${error} ${reason}`)
          const after = Math.round(performance.now() - start)
          demand(after >= OPEN_TIMEOUT - 20, `it gave up after ${after} ms, before openTimeout`)
          demand(after < OPEN_TIMEOUT + bench.slack(2_000), `it gave up after ${after} ms only`)
        }
      )
  },
  {
    id: "B2.14b",
    title: "a stream that breaks off inside the handshake, or is no HTTP, is a typed error at once",
    role: "client",
    run: (bench) =>
      each(breaking, async (end) => {
        const { error, sentence } = await answered(bench, end, {})
        demand(error === "TransportError" || error === "HandshakeError", `it failed with ${error}: ${sentence}`)
      })
  }
]

export const group2: ReadonlyArray<BlindSpot> = [...headers, ...statuses, ...streams]
