import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Duration, Effect, Random, Schedule } from "effect"
import { Reconnecting, Resume, Router, SchemaConnection, WebSocketClient, WebSocketServer } from "effect-websockets"
import { BrowserWebSocket } from "effect-websockets/browser"
import { NodeConnector } from "effect-websockets/node"
import { PlatformHttpServer, PlatformSocket } from "effect-websockets/platform"
import { defaultLimits } from "../src/protocol/messageLimits.js"
import { defaults as deflate } from "../src/protocol/PerMessageDeflate.js"
import { defaults as connection } from "../src/settings.js"

/** What the README's tables say is what the code does, and what tests use. */

const root = fileURLToPath(new URL("../", import.meta.url))
const readme = readFileSync(join(root, "README.md"), "utf8")

/** The cells of the first table of a section, without its head. */
const tableOf = (section: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows = /(?:^\|.*\n)+/m.exec(readme.slice(readme.indexOf(`\n## ${section}\n`)))?.[0]
  const lines = (rows ?? assert.fail(`${section} has no table`)).trim().split("\n").slice(2)
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim())
  )
}

const time = (input: Duration.DurationInput): string => {
  const seconds = Duration.toSeconds(input)
  if (seconds === 0) return "0"
  return seconds < 120 ? `${seconds} s` : `${seconds / 60} min`
}

const count = (value: number): string => value.toLocaleString("en")

const bytes = (value: number): string => {
  if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`
  return value % 65_536 === 0 ? `${value / 1_024} KiB` : `${count(value)} bytes`
}

/** The close codes that are no errors to a platform's socket. */
const okCodes = [1000, 1001, 1005, 1006, 1011, 3000].filter((code) => !PlatformSocket.defaultCloseCodeIsError(code))

const power = (value: boolean): string => (value ? "on" : "off")

/** How long reconnecting waits before each attempt, in seconds, where all random numbers are the same. */
const delays = (random: number): ReadonlyArray<number> => {
  const waits = Schedule.delays(Reconnecting.defaultSchedule).pipe(Schedule.intersect(Schedule.recurs(12)))
  const run = Schedule.run(waits, 0, Array.from({ length: 12 }))
  return Chunk.toReadonlyArray(Effect.runSync(Effect.withRandom(run, Random.fixed([random])))).map(([delay]) =>
    Duration.toSeconds(delay)
  )
}

describe("the README's table of defaults", () => {
  const server = WebSocketServer.defaults
  const drain = WebSocketServer.drainDefaults
  const resuming = Resume.defaults
  const router = Router.defaults
  const unlimited = [
    server.maxConnections,
    server.maxConnectionsPerKey,
    Duration.toMillis(server.maxLifetime),
    connection.maxMessagesPerSecond,
    connection.maxBytesPerSecond
  ]
  const slashes = [router.ignoreTrailingSlash, router.ignoreDuplicateSlashes].map(power)

  /** The first cell of each row as the code would have it, and some of what its second cell says. */
  const expected: ReadonlyArray<readonly [first: string, ...second: ReadonlyArray<string>]> = [
    [`\`openTimeout\` ${time(server.openTimeout)}, \`maxHandshakes\` ${count(server.maxHandshakes)}`, "503"],
    [`\`maxRedirects\` ${WebSocketClient.defaultMaxRedirects}`, `${bytes(NodeConnector.maxBody)} of a refusal's body`],
    [`\`pingInterval\` ${time(connection.pingInterval)}, \`pingTimeout\` ${time(connection.pingTimeout)}`, "1011"],
    [`\`closeTimeout\` ${time(connection.closeTimeout)}`],
    [`\`messageTimeout\` ${time(connection.messageTimeout)}`, "1008"],
    [`\`maxMessageSize\`, \`maxFrameSize\` ${bytes(defaultLimits.maxMessageSize)}`, "1009"],
    [
      `\`maxFragments\` ${count(defaultLimits.maxFragments)}, \`maxPingsPerSecond\` ${connection.maxPingsPerSecond}`,
      "1008"
    ],
    [`\`receiveHighWaterMark\`, \`sendHighWaterMark\` ${bytes(connection.receiveHighWaterMark)}`, "64 bytes"],
    [`\`maxUnread\` ${bytes(BrowserWebSocket.defaultMaxUnread)}`, "4008"],
    ["`slowPeers` of a broadcast: `close`", "1013"],
    [
      `typed messages: \`invalid\` ${SchemaConnection.defaults.invalid}, \`askTimeout\` ${time(SchemaConnection.defaults.askTimeout)}, \`maxAsks\` ${count(SchemaConnection.defaults.maxAsks)}`,
      "wait their turn"
    ],
    [
      `\`PlatformSocket\`: \`concurrency\` ${PlatformSocket.defaultConcurrency}, \`closeCodeIsError\` every code but ${okCodes.join()}; \`toConnection\`: \`successCode\` ${PlatformSocket.defaultSuccessCode}, \`closeCodes\` off`
    ],
    [
      `\`PlatformHttpServer\`: \`answerTimeout\` ${time(PlatformHttpServer.defaults.answerTimeout)}, \`openTimeout\` ${time(server.openTimeout)}, \`maxHandshakes\` ${count(server.maxHandshakes)}`
    ],
    [
      "`maxConnections`, `maxConnectionsPerKey`, `maxLifetime`, `maxMessagesPerSecond`, `maxBytesPerSecond`",
      unlimited.every((limit) => limit === Number.POSITIVE_INFINITY) ? "no limit" : "a limit"
    ],
    [
      `\`drain\` off; \`timeout\` ${time(drain.timeout)}, \`grace\` ${time(drain.grace)}, \`jitter\` ${time(drain.jitter)}, \`code\` ${drain.code}`,
      "503 with `Retry-After: 5`"
    ],
    ["`subprotocolOptional` off, `serverHeader` none", "400"],
    [
      `router: \`caseSensitive\` ${power(router.caseSensitive)}, \`ignoreTrailingSlash\` and \`ignoreDuplicateSlashes\` ${[...new Set(slashes)].join()}, \`maxParamLength\` ${router.maxParamLength}`
    ],
    [
      "reconnecting: within 0–5 s, then 3.1 × 1.618ⁿ s up to 90 s, each × 0.8–1.2",
      `${time(Reconnecting.defaults.stableAfter)} (\`stableAfter\`)`,
      `${time(Reconnecting.defaults.maxRetryAfter)} (\`maxRetryAfter\`)`
    ],
    [
      `resuming: \`maxReplayBytes\` ${bytes(resuming.maxReplayBytes)}, \`maxReplayMessages\` ${count(resuming.maxReplayMessages)}, \`expiry\` ${time(resuming.expiry)}, \`maxAway\` ${count(resuming.maxAway)}`,
      resuming.whenFull === "suspend" ? 'then `send` waits, or the session ends with `whenFull: "end"`' : "ends"
    ],
    [
      `\`compression\` off; \`threshold\` ${bytes(deflate.threshold)}, \`level\` ${deflate.level}, \`memLevel\` ${deflate.memLevel}, windows of ${[...new Set([deflate.serverMaxWindowBits, deflate.clientMaxWindowBits])].join()} bits, context ${deflate.serverNoContextTakeover || deflate.clientNoContextTakeover ? "lost" : "kept"}`
    ],
    ["origins", "a page's host and port must be the request's own"]
  ]

  const table = tableOf("Defaults")

  it("has a row for each of what is compared here, and no other", () => {
    assert.deepStrictEqual(
      table.map(([first]) => first),
      expected.map(([first]) => first)
    )
  })

  it.each(expected)("says %s, and beside it %s", (first, ...second) => {
    const [, text] = table.find(([name]) => name === first) ?? assert.fail("it does not")
    for (const part of second) assert.include(text, part)
  })

  it("has the two marks and the sizes of messages and frames the same", () => {
    assert.strictEqual(connection.receiveHighWaterMark, connection.sendHighWaterMark)
    assert.strictEqual(defaultLimits.maxMessageSize, defaultLimits.maxFrameSize)
    assert.strictEqual(WebSocketClient.defaultOpenTimeout, server.openTimeout)
  })

  it("has the delays of reconnecting", () => {
    for (const [random, spread, first] of [
      [0, 0.8, 0],
      [0.5, 1, 2.5],
      [1, 1.2, 5]
    ] as const) {
      const later = Array.from({ length: 11 }, (_, n) => Math.min(3.1 * 1.618 ** n, 90) * spread)
      assert.isAtLeast(delays(random).length, 12)
      for (const [i, delay] of delays(random).entries()) assert.closeTo(delay, [first, ...later][i] ?? 0, 0.001)
    }
  })
})

describe("the README's comparison", () => {
  const sources = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".test.ts") && !file.startsWith("readme"))
    .map((file) => readFileSync(join(root, "test", file), "utf8"))

  const named = tableOf("Beside others").map(([feature, here = ""]) => ({
    feature,
    names: [...here.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name)
  }))

  it.each(named)("names for «$feature» only what tests use: $names", ({ names }) => {
    assert.isNotEmpty(names)
    for (const name of names) {
      // `Connection.runForEach`, `registry.broadcast`: what counts is the last part.
      const word = new RegExp(`\\b${name.split(".").at(-1)}\\b`)
      assert.isTrue(
        sources.some((source) => word.test(source)),
        name
      )
    }
  })
})
