import type { Effect, Scope } from "effect"
import type { Requirement } from "../support/requirements.js"
import { type Authority, child, file, type Tell } from "./child.js"
import { startChromium } from "./chromium.js"
import { compressed } from "./compressed.js"
import type { FeatureName } from "./features.js"
import type { Role } from "./support.js"

/** The peers: the columns of the table. A new one is an entry here, and a test file of its name. */

export interface Peer {
  /** As the table and the tests call it. */
  readonly name: string
  readonly role: Role
  readonly needs: ReadonlyArray<Requirement>
  readonly launch: (authority: Authority) => Effect.Effect<Tell, never, Scope.Scope>
  /** What it has no means for, and why. Everything else is tested. */
  readonly cannot: Readonly<Partial<Record<FeatureName, string>>>
}

/** What the WebSocket API has no means for; some peers have more than the API. */
const noCut = {
  "they are gone without a close frame: 1006 and its cause": "the WebSocket API always sends a close frame"
} as const
const withoutFragments = (reason: string) => ({
  "fragments from them": reason,
  "compressed fragments from them, with pings between": reason
})
const noFragments = withoutFragments("the WebSocket API has no fragments")
const noPings = { "ping from them": "the WebSocket API has no pings" } as const
const noGoingAway = { "they close with 1001": "the WebSocket API refuses the code 1001" } as const
const noWishes = { "compressed with windows and takeover as they ask": "it cannot be told what to ask for" } as const
const compressesNothing = "it inflates, and compresses nothing that it sends"
const noCompressor = {
  "what they send is compressed": compressesNothing,
  "a message that is too large once inflated is refused with 1009": compressesNothing
} as const
const noWindows = {
  "compressed with windows of 9 to 15 bits": "it declines to compress with a smaller window",
  "compressed with windows of 8 bits": "it declines to compress with a smaller window"
} as const
const noCompression = Object.fromEntries(compressed.map(({ name }) => [name, "it has no permessage-deflate"]))
const alwaysCode = { "they close without a code": "its `close` always sends a code" } as const

const python = {
  name: "Python",
  needs: ["python3-websockets"],
  launch: child("python3-websockets", { args: [file("python.py")] }),
  cannot: { ...alwaysCode, "compressed with windows of 8 bits": "its zlib compresses with 9 bits at least" }
} as const

const deno = {
  name: "Deno",
  needs: ["deno"],
  launch: child("deno", {
    args: ["run", "--quiet", "--no-config", "--no-lock", "--allow-all", file("deno.mjs")],
    env: ({ path }) => ({ DENO_CERT: `${path}/ca.pem`, DENO_NO_UPDATE_CHECK: "1" })
  }),
  cannot: { ...noFragments, ...noCut, ...noPings, ...noGoingAway, ...noCompression }
} as const

const bun = {
  name: "Bun",
  needs: ["bun"],
  launch: child("bun", {
    args: ["run", file("bun.mjs")],
    env: ({ path }) => ({ NODE_EXTRA_CA_CERTS: `${path}/ca.pem` })
  }),
  cannot: { ...withoutFragments("its API has no fragments"), ...noWishes }
} as const

/** By the name of the test file. */
export const peers: Readonly<Record<"python" | "undici" | "chromium" | "deno" | "bun", ReadonlyArray<Peer>>> = {
  python: [
    { ...python, role: "client" },
    { ...python, role: "server" }
  ],
  undici: [
    {
      name: "Node's own",
      role: "client",
      needs: [],
      launch: child("node", {
        args: ["--experimental-websocket", "--no-warnings", file("node.mjs")],
        env: ({ path }) => ({ NODE_EXTRA_CA_CERTS: `${path}/ca.pem` })
      }),
      cannot: { ...noFragments, ...noCut, ...noPings, ...noGoingAway, ...noWishes, ...noCompressor }
    },
    {
      name: "undici",
      role: "client",
      needs: [],
      launch: child("node", { args: [file("undici.mjs")] }),
      cannot: { ...noFragments, ...noCut, ...noGoingAway, ...noWishes, ...noCompressor }
    }
  ],
  chromium: [
    {
      name: "Chromium",
      role: "client",
      needs: ["chromium"],
      launch: startChromium,
      cannot: { ...noFragments, ...noCut, ...noPings, ...noWishes }
    }
  ],
  deno: [
    { ...deno, role: "client" },
    { ...deno, role: "server" }
  ],
  bun: [
    { ...bun, role: "client" },
    { ...bun, role: "server", cannot: { ...bun.cannot, ...alwaysCode, ...noWindows } }
  ]
}
