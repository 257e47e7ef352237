import { assert } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { eventually } from "../node/support.js"
import { sharing } from "../support/sharing.js"
import { serving } from "./serving.js"

/** What the scenarios give, whatever runs them. */

/** Plays a scenario, whose result is data. */
export type Play = (name: string, uri: string) => Effect.Effect<unknown>

export interface Runtime {
  /** The program that the server has for pages. */
  readonly program: string
  readonly start: (server: Server) => Effect.Effect<Play, never, Scope.Scope>
  /** What differs from the rest, with the reason beside it. */
  readonly differences?: Readonly<Record<string, unknown>> | undefined
}

type Server = Effect.Effect.Success<ReturnType<typeof serving>>

class Started extends Context.Tag("test/browser/Started")<
  Started,
  { readonly server: Server; readonly play: Play }
>() {}

const close = (code: number, reason = "") => ({ code, reason })

const weClosed = (code: number, reason: string) => ({
  sent: close(code, reason),
  received: close(code),
  initiator: "local",
  cause: null,
  isClean: code === 1000
})

const theyClosed = (code: number, reason = "") => ({
  last: "last",
  isSame: true,
  end: {
    sent: close(code),
    received: close(code, reason),
    initiator: "remote",
    cause: null,
    isClean: code < 1002
  }
})

const unexplained = { error: "HandshakeError", reason: "Unexplained", isTransient: true }

const expected: Readonly<Record<string, unknown>> = {
  echo: { text: "Grüße, 世界 👋🏽", binary: true, empty: ["", 0], end: weClosed(4000, "done") },
  large: { text: true, binary: true },
  weClose: [
    weClosed(1000, "done"),
    weClosed(3000, "library"),
    weClosed(4999, "ü".repeat(61)),
    weClosed(4011, "broken")
  ],
  weLeave: { state: "Closed", end: weClosed(1000, "") },
  theyClose: [theyClosed(1000, "bye"), theyClosed(1001), theyClosed(1012, "restart"), theyClosed(4001, "ü")],
  refused: unexplained,
  unreachable: unexplained,
  timeout: { error: "HandshakeError", reason: "Timeout", isTransient: true },
  interrupted: "gone",
  subprotocols: { chosen: "chat", none: "HandshakeError" },
  burst: 10_000,
  order: { received: 10_000, keptBelow: true },
  backpressure: { waits: true, isBounded: true, taken: String(256 * 65_536) },
  reconnecting: 3,
  resuming: { received: 200, end: weClosed(1000, "") },
  unsupported: {
    ping: "Unsupported",
    headers: { error: "HandshakeError", reason: "InvalidOption", isTransient: false },
    canPing: false
  }
}

const titles: Readonly<Record<string, string>> = {
  echo: "text and bytes go there and come back",
  large: "1 MiB goes both ways, text and bytes",
  weClose: "our codes and reasons arrive, 1011 as 4011",
  weLeave: "leaving the scope closes with 1000 and waits",
  theyClose: "the peer's codes and reasons arrive, behind its messages",
  refused: "a refused handshake is a HandshakeError",
  unreachable: "so is a server that is not there",
  timeout: "openTimeout ends an attempt",
  interrupted: "interrupting an attempt takes it back: the server sees it go",
  subprotocols: "the server chooses a subprotocol, or there is no connection",
  burst: "10,000 messages that come at once arrive in order",
  order: "10,000 messages go out and come back in order, and sending waits at the mark",
  backpressure: "sending waits for a server that does not read",
  reconnecting: "Reconnecting comes back after each cut",
  resuming: "Resume loses nothing over cuts",
  unsupported: "what a browser cannot do is a typed error"
}

/** The same tests for each runtime. */
export const contract = ({ program, start, differences = {} }: Runtime): void => {
  const started = Effect.gen(function* () {
    const server = yield* serving(program)
    return { server, play: yield* start(server) }
  })
  sharing(
    Layer.scoped(Started, started),
    "60 seconds"
  )((it) => {
    for (const [name, title] of Object.entries(titles)) {
      it.scoped(`C9: ${title}`, () =>
        Effect.gen(function* () {
          const { play, server } = yield* Started
          assert.deepStrictEqual(yield* play(name, server.uri), differences[name] ?? expected[name])
        })
      )
    }

    it.scoped(
      "C9: a server that cuts the connection ends it with 1006 and a cause, and what came before is there",
      () =>
        Effect.gen(function* () {
          const { play, server } = yield* Started
          const result = JSON.stringify(yield* play("theyCut", server.uri))
          assert.match(result, /^\{"before":"before","isSame":true,/)
          assert.match(
            result,
            /"end":\{"sent":null,"received":null,"initiator":"remote","cause":"(EndOfStream|TransportError)","isClean":false\}\}$/
          )
        })
    )

    it.scoped("C9: the server hears what was said", () =>
      Effect.gen(function* () {
        const { play, server } = yield* Started
        server.ends.splice(0)
        yield* play("weClose", server.uri)
        yield* eventually(() => server.ends.length === 4)
        assert.deepStrictEqual(
          server.ends.map((end) => end.split(";")[0]),
          [
            "peer closed with 1000 done",
            "peer closed with 3000 library",
            `peer closed with 4999 ${"ü".repeat(61)}`,
            "peer closed with 4011 broken"
          ]
        )
      })
    )
  })
}
