import { type Bench, type Fields, KEY, requestText } from "./Bench.js"
import { type BlindSpot, each } from "./BlindSpot.js"
import { isAccepted, isRefused, type Refusal, seesRefusal, stillServes } from "./refusals.js"

/** Requests that a server must not let in, each with the answer that tells its client why. RFC 6455 §4.2.1. */

type Request = readonly [name: string, text: string]

const asking = (name: string, fields: Fields, line?: string): Request => [name, requestText(fields, line)]

/** A scenario in which all these requests get this answer, and those that are nearly the same are let in. */
const refusing = (
  id: string,
  title: string,
  refusal: Refusal,
  requests: ReadonlyArray<Request>,
  accepted: ReadonlyArray<Request> = []
): BlindSpot => ({
  id,
  title: `${title} gets ${refusal.status}`,
  role: "server",
  run: async (bench: Bench) => {
    await each(requests, (request) => isRefused(bench, request, refusal))
    await each(accepted, (request) => isAccepted(bench, request))
  }
})

const needsUpgrade: Refusal = { status: 426, headers: { upgrade: "websocket", connection: "upgrade" } }
const needsVersion: Refusal = {
  status: 426,
  headers: { ...needsUpgrade.headers, "sec-websocket-version": "13" }
}
const bad: Refusal = { status: 400 }

/** A header line of so many octets, its line break not counted. */
const line = (length: number): Fields => ({ "X-Long": "x".repeat(length - "X-Long: ".length) })
const target = (length: number): string => `GET /${"x".repeat(length - 1)} HTTP/1.1`
/** So many headers beside the five of a handshake. */
const more = (count: number): Fields =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, "x"] as const))
/** A head of about so many octets, no line of it long. */
const large = (size: number): Fields =>
  Object.fromEntries(Array.from({ length: size / 1_000 }, (_, i) => [`X-${i}`, "x".repeat(990)] as const))

const inFront: ReadonlyArray<BlindSpot> = [
  refusing("B1.1", "HTTP/1.0", { status: 505 }, [asking("HTTP/1.0", {}, "GET / HTTP/1.0")]),
  refusing(
    "B1.2",
    "another method than GET",
    { status: 405, headers: { allow: "GET" } },
    ["POST", "PUT", "DELETE", "OPTIONS"].map((method) => asking(method, {}, `${method} / HTTP/1.1`))
  ),
  refusing("B1.3", "no websocket in Upgrade", needsUpgrade, [
    asking("no Upgrade", { Upgrade: undefined }),
    asking("neither Upgrade nor Connection", { Upgrade: undefined, Connection: undefined }),
    asking("another protocol", { Upgrade: "h2c" }),
    asking("a longer word", { Upgrade: "websockets" }),
    asking("a version", { Upgrade: "websocket/13" })
  ]),
  refusing("B1.4", "no upgrade in Connection", needsUpgrade, [
    asking("no Connection", { Connection: undefined }),
    asking("keep-alive", { Connection: "keep-alive" }),
    asking("a longer word", { Connection: "upgraded" })
  ]),
  refusing("B1.5", "another version than 13", needsVersion, [
    asking("version 8", { "Sec-WebSocket-Version": "8" }),
    asking("version 14", { "Sec-WebSocket-Version": "14" }),
    asking("013", { "Sec-WebSocket-Version": "013" }),
    asking("a list", { "Sec-WebSocket-Version": "13, 8" }),
    asking("two headers", { "Sec-WebSocket-Version": ["13", "13"] }),
    asking("none", { "Sec-WebSocket-Version": undefined })
  ])
]

const keyAndHost: ReadonlyArray<BlindSpot> = [
  refusing("B1.6", "a key that is not 16 octets of base64", bad, [
    asking("15 octets", { "Sec-WebSocket-Key": Buffer.alloc(15, 1).toString("base64") }),
    asking("17 octets", { "Sec-WebSocket-Key": Buffer.alloc(17, 1).toString("base64") }),
    asking("nothing", { "Sec-WebSocket-Key": "" }),
    asking("no padding", { "Sec-WebSocket-Key": KEY.slice(0, 22) }),
    asking("bits behind the last octet", { "Sec-WebSocket-Key": `${KEY.slice(0, 21)}B==` }),
    asking("the alphabet of URLs", { "Sec-WebSocket-Key": `-_${KEY.slice(2)}` }),
    asking("a word behind it", { "Sec-WebSocket-Key": `${KEY} x` })
  ]),
  refusing("B1.7", "a request without key", bad, [asking("no key", { "Sec-WebSocket-Key": undefined })]),
  refusing("B1.8", "two keys", bad, [
    asking("the same twice", { "Sec-WebSocket-Key": [KEY, KEY] }),
    asking("two different", { "Sec-WebSocket-Key": [KEY, Buffer.alloc(16, 1).toString("base64")] })
  ]),
  refusing("B1.9", "a request without Host", bad, [
    asking("no Host", { Host: undefined }),
    asking("no Host in a request for a page", { Host: undefined, Upgrade: undefined, Connection: undefined })
  ]),
  refusing(
    "B1.10",
    "a malformed Host",
    bad,
    [
      asking("nothing", { Host: "" }),
      asking("a blank", { Host: "local host" }),
      asking("a path", { Host: "localhost/path" }),
      asking("user information", { Host: "user@localhost" }),
      asking("a port that is none", { Host: "localhost:port" }),
      asking("a port too large", { Host: "localhost:65536" }),
      asking("an open bracket", { Host: "[::1" })
    ],
    [asking("IPv6 with a port", { Host: "[::1]:8080" })]
  ),
  refusing("B1.11", "two Hosts", bad, [
    asking("the same twice", { Host: ["localhost", "localhost"] }),
    asking("two different", { Host: ["localhost", "example.com"] })
  ])
]

const content: ReadonlyArray<BlindSpot> = [
  refusing(
    "B1.12",
    "a body",
    bad,
    [
      ["Content-Length", `${requestText({ "Content-Length": "5" })}hello`],
      ["a chunked body", `${requestText({ "Transfer-Encoding": "chunked" })}5\r\nhello\r\n0\r\n\r\n`],
      ["a body that is not there yet", requestText({ "Content-Length": "5" })]
    ],
    [asking("Content-Length: 0", { "Content-Length": "0" })]
  ),
  refusing(
    "B1.13",
    "a subprotocol that is no token",
    bad,
    [
      asking("two words", { "Sec-WebSocket-Protocol": "chat room" }),
      asking("a quoted string", { "Sec-WebSocket-Protocol": '"chat"' }),
      asking("a parameter", { "Sec-WebSocket-Protocol": "chat;v=1" }),
      asking("a slash", { "Sec-WebSocket-Protocol": "chat, chat/2" }),
      asking("beyond ASCII", { "Sec-WebSocket-Protocol": "ch\u00e4t" })
    ],
    [asking("a token", { "Sec-WebSocket-Protocol": "chat.v2" })]
  ),
  refusing("B1.14", "the same subprotocol twice", bad, [
    asking("in one list", { "Sec-WebSocket-Protocol": "chat, superchat, chat" }),
    asking("in two headers", { "Sec-WebSocket-Protocol": ["chat", "chat"] })
  ]),
  refusing(
    "B1.15",
    "a foreign origin",
    { status: 403 },
    [
      asking("another host", { Origin: "http://example.com" }),
      asking("the host as a prefix", { Origin: "http://localhost.example.com" }),
      asking("the host as a suffix", { Origin: "http://evil-localhost" }),
      asking("the host as user information", { Origin: "http://localhost@example.com" }),
      asking("the host as a path", { Origin: "http://example.com/localhost" }),
      asking("another port", { Origin: "http://localhost:8080" }),
      asking("a page opened as a file", { Origin: "null" }),
      asking("two origins", { Origin: ["http://localhost", "http://localhost"] })
    ],
    [asking("its own", { Origin: "http://localhost" })]
  )
]

const tooMuch: ReadonlyArray<BlindSpot> = [
  refusing(
    "B1.16",
    "a target over 8,190 octets",
    { status: 414 },
    [8_191, 16_000, 20_000, 31_000, 40_000].map((length) => asking(`${length} octets`, {}, target(length))),
    [asking("8,190 octets", {}, target(8_190))]
  ),
  refusing(
    "B1.17",
    "a header line over 8,190 octets",
    { status: 431 },
    [8_191, 16_000, 31_000, 40_000, 200_000].map((length) => asking(`${length} octets`, line(length))),
    [asking("8,188 octets and a line break", line(8_188))]
  ),
  refusing(
    "B1.18",
    "more than 128 headers",
    { status: 431 },
    [124, 200, 3_000, 20_000].map((count) => asking(`${count + 5} headers`, more(count))),
    [asking("128 headers", more(123))]
  ),
  refusing(
    "B1.19",
    "a head over 16 KiB",
    { status: 431 },
    [17_000, 30_000, 100_000].map((size) => asking(`${size} octets`, large(size))),
    [asking("16,000 octets", large(16_000))]
  )
]

const serverSide: ReadonlyArray<BlindSpot> = [
  {
    id: "B1.20a",
    title: "a request whose hook fails gets 500",
    role: "server",
    run: (bench) => isRefused(bench, requestText(), { status: 500 }, { hookFails: true })
  },
  {
    id: "B1.20b",
    title: "a request to a server that is stopping gets 503 and Retry-After",
    role: "server",
    run: async (bench) => {
      const server = await bench.serve({ closeTimeout: "60 seconds" })
      // One that answers no close frame keeps the server stopping.
      const { peer } = await bench.upgrade(server.port)
      const early = await bench.connect(server.port)
      early.write(requestText().slice(0, 60))
      await stillServes(bench, server)
      const stopped = server.stop()
      const { payload } = await peer.frame("a close frame")
      const late = await bench.connect(server.port)
      early.write(requestText().slice(60))
      late.write(requestText())
      const refusal = { status: 503, headers: { "retry-after": "5" } }
      await each(
        [["on a new connection", late] as const, ["on one that had begun its request", early] as const],
        (asking) => seesRefusal(asking, refusal)
      )
      peer.close((payload[0]! << 8) | payload[1]!)
      await bench.inTime("the end of the server", stopped)
    }
  }
]

export const group1: ReadonlyArray<BlindSpot> = [...inFront, ...keyAndHost, ...content, ...tooMuch, ...serverSide]
