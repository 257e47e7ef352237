import type { ServerName } from "./peers.js"

/**
 * What is measured, as data, and how good the library has to be at it.
 *
 * A workload's kind says how it is run; `load/` has a file for each. Costs are CPU time of the process under test, or
 * its memory; ratios are another's cost over ours: twice as good is 2.
 */
export type Workload = Shape & {
  readonly title: string
  readonly targets: ReadonlyArray<Target>
}

export type Shape = Echo | Broadcast | Receive | Client | Handshakes | Memory | Arrivals

export interface Message {
  readonly type: "text" | "binary" | "json" | "mixed"
  readonly bytes: number
}

/** Each connection keeps `window` messages in flight and sends one for every reply. */
export interface Echo {
  readonly kind: "echo"
  readonly message: Message
  /**
   * Messages are compressed both ways, by ends that forget each message when the next comes, so that all requests can
   * be the same bytes. RFC 7692.
   */
  readonly deflate?: true
  readonly connections: number
  readonly window: number
}

/** One connection sends, the server passes it to all of them, the sender too; `window` broadcasts are in flight. */
export interface Broadcast {
  readonly kind: "broadcast"
  readonly message: Message
  readonly connections: number
  readonly window: number
}

/**
 * The server takes messages as strings, adds up their lengths in UTF-16 units, and says the sum as text after every
 * `every` messages. `window` of these bursts are in flight on each connection.
 */
export interface Receive {
  readonly kind: "receive"
  readonly message: Message
  readonly every: number
  readonly connections: number
  readonly window: number
}

/**
 * A client is under test, against bare TCP. Where it receives, it does what the server of `Receive` does; where it
 * sends, each message that comes asks it for `every` of them.
 */
export interface Client {
  readonly kind: "client"
  readonly direction: "receive" | "send"
  readonly message: Message
  readonly every: number
  readonly connections: number
  readonly window: number
}

/** Connections are opened, upgraded and closed, so many at a time. */
export interface Handshakes {
  readonly kind: "handshakes"
  /** With both close frames, or only with the end of the stream. */
  readonly ends: "closed" | "cut"
  readonly connections: number
}

/** Connections that do nothing; what each of them keeps of the server's memory. */
export interface Memory {
  readonly kind: "memory"
  readonly connections: number
  readonly tls?: true
  /** Compression is agreed on, with contexts kept as the server likes, and used for one message. */
  readonly deflate?: true
}

/** So many connections come one after the other, or go all at once. */
export interface Arrivals {
  readonly kind: "arrivals"
  readonly connections: number
  readonly measured: "accept" | "drop"
}

export type Target =
  | {
      /** How much better than another, in the same rounds. */
      readonly _tag: "Ratio"
      readonly against: ServerName
      readonly floor?: number
      readonly goal: number
      /** `--guard` fails below 80 % of the floor, and below this wherever it is higher. */
      readonly never?: number
    }
  /** The cost itself: at most so many bytes. */
  | { readonly _tag: "Bytes"; readonly floor: number; readonly goal: number }

const KiB = 1024
const MiB = 1024 * KiB

const ratio = (against: ServerName, goal: number, floor?: number): Target =>
  floor === undefined ? { _tag: "Ratio", against, goal } : { _tag: "Ratio", against, floor, goal }

const text64 = { type: "text", bytes: 64 } as const
const smallEcho = [ratio("ws", 1.3, 1.1), ratio("raw", 0.95)]
const client = [ratio("ws", 4, 2)]

const named: Readonly<Record<string, Workload>> = {
  P1: {
    title: "echo 64 B text, 1 connection, window 1",
    kind: "echo",
    message: text64,
    connections: 1,
    window: 1,
    targets: smallEcho
  },
  P2: {
    title: "echo 64 B text, 64 connections, window 1",
    kind: "echo",
    message: text64,
    connections: 64,
    window: 1,
    targets: [{ _tag: "Ratio", against: "ws", floor: 1.1, goal: 1.3, never: 1 }, ratio("raw", 0.95)]
  },
  P3: {
    title: "echo 64 B text, 16 connections, window 64",
    kind: "echo",
    message: text64,
    connections: 16,
    window: 64,
    // Against the platform's own server this is what the table of targets calls P13.
    targets: [ratio("ws", 14, 8), ratio("uws", 1.3), ratio("effect-socket", 25, 15), ratio("effect-http", 25, 15)]
  },
  P4: {
    title: "echo 1 KiB text, 64 connections, window 1",
    kind: "echo",
    message: { type: "text", bytes: KiB },
    connections: 64,
    window: 1,
    targets: smallEcho
  },
  P5: {
    title: "echo 16 KiB binary, 16 connections, window 4",
    kind: "echo",
    message: { type: "binary", bytes: 16 * KiB },
    connections: 16,
    window: 4,
    targets: [ratio("ws", 4.5, 3.5), ratio("raw", 0.9)]
  },
  P6: {
    title: "echo 1 MiB binary, 2 connections, window 2",
    kind: "echo",
    message: { type: "binary", bytes: MiB },
    connections: 2,
    window: 2,
    targets: [ratio("ws", 4, 3), ratio("raw", 0.9)]
  },
  "P7/1": {
    title: "broadcast 64 B text to 256 connections, one in flight",
    kind: "broadcast",
    message: text64,
    connections: 256,
    window: 1,
    targets: []
  },
  "P7/8": {
    title: "broadcast 64 B text to 256 connections, eight in flight",
    kind: "broadcast",
    message: text64,
    connections: 256,
    window: 8,
    targets: [ratio("ws", 5.5, 4)]
  },
  "P8/closed": {
    title: "handshakes and closing handshakes, 32 at a time",
    kind: "handshakes",
    ends: "closed",
    connections: 32,
    targets: [ratio("ws", 2, 1.2)]
  },
  "P8/cut": {
    title: "handshakes, then the end of the stream, 32 at a time",
    kind: "handshakes",
    ends: "cut",
    connections: 32,
    targets: []
  },
  "P9/plain": {
    title: "memory of 5,000 idle connections",
    kind: "memory",
    connections: 5_000,
    targets: [{ _tag: "Bytes", floor: 10_000, goal: 7_800 }]
  },
  "P9/tls": {
    title: "memory of 5,000 idle connections, TLS",
    kind: "memory",
    connections: 5_000,
    tls: true,
    targets: []
  },
  "P9/deflate": {
    title: "memory of 5,000 idle connections, compression used once",
    kind: "memory",
    connections: 5_000,
    deflate: true,
    targets: []
  },
  P10: {
    title: "echo 1 KiB JSON compressed, 16 connections, window 4",
    kind: "echo",
    message: { type: "json", bytes: KiB },
    deflate: true,
    connections: 16,
    window: 4,
    targets: [ratio("ws", 6, 3.5), ratio("uws", 1.3)]
  },
  P11: {
    title: "receive 16 KiB of mixed UTF-8 as strings, 16 connections",
    kind: "receive",
    message: { type: "mixed", bytes: 16 * KiB },
    every: 4,
    connections: 16,
    window: 2,
    targets: [ratio("ws", 3, 2)]
  },
  "P12/receive/64": {
    title: "client receives 64 B text, 16 connections",
    kind: "client",
    direction: "receive",
    message: text64,
    every: 64,
    connections: 16,
    window: 2,
    targets: client
  },
  "P12/receive/16K": {
    title: "client receives 16 KiB binary, 16 connections",
    kind: "client",
    direction: "receive",
    message: { type: "binary", bytes: 16 * KiB },
    every: 4,
    connections: 16,
    window: 2,
    targets: client
  },
  "P12/send/64": {
    title: "client sends 64 B text, 16 connections, 64 in a row",
    kind: "client",
    direction: "send",
    message: text64,
    every: 64,
    connections: 16,
    window: 1,
    targets: client
  },
  "P12/send/16K": {
    title: "client sends 16 KiB binary, 16 connections, 4 in a row",
    kind: "client",
    direction: "send",
    message: { type: "binary", bytes: 16 * KiB },
    every: 4,
    connections: 16,
    window: 1,
    targets: client
  }
}

const sizes = [10, 100, 1_000, 10_000]

const growing = (name: string, make: (connections: number) => Workload): Readonly<Record<string, Workload>> =>
  Object.fromEntries(sizes.map((size) => [`${name}/${size}`, make(size)]))

const grown = {
  echo: growing("P14/echo", (connections) => ({
    title: `echo 64 B text, ${connections} connections, window 1`,
    kind: "echo",
    message: text64,
    connections,
    window: 1,
    targets: []
  })),
  broadcast: growing("P14/broadcast", (connections) => ({
    title: `broadcast 64 B text to ${connections} connections, one in flight`,
    kind: "broadcast",
    message: text64,
    connections,
    window: 1,
    targets: []
  }))
}

/** The same thing at sizes that grow: its cost stays what it is at the second of them, within this part of it. */
export const growths = Object.values(grown).map((group) => ({ names: Object.keys(group), within: 0.2 }))

export const workloads: Readonly<Record<string, Workload>> = {
  ...named,
  ...grown.echo,
  ...grown.broadcast,
  "P14/accept": {
    title: "10,000 connections come, 32 at a time",
    kind: "arrivals",
    connections: 10_000,
    measured: "accept",
    targets: []
  },
  "P14/drop": {
    title: "10,000 connections go at once",
    kind: "arrivals",
    connections: 10_000,
    measured: "drop",
    targets: []
  }
}

export const workloadNames: ReadonlyArray<string> = Object.keys(workloads)

/** A workload by its name, or all that begin with it: P9 is P9/plain, P9/tls and P9/deflate. P13 is a row of P3. */
export const workloadsCalled = (name: string): ReadonlyArray<string> => {
  const called = name.toUpperCase() === "P13" ? "p3" : name.toLowerCase()
  return workloadNames.filter((full) => full.toLowerCase() === called || full.toLowerCase().startsWith(`${called}/`))
}

export const workloadNamed = (name: string): Workload => {
  const workload = workloads[name]
  if (workload === undefined) throw new Error(`no workload is called "${name}"`)
  return workload
}

/** The workload that a server or a client is started for. */
export const ownWorkload = (): Workload => workloadNamed(process.argv[2] ?? "")

/** What a figure is a figure of. */
export const unitOf = ({ kind }: Shape): { readonly cost: string; readonly rate: string } => {
  switch (kind) {
    case "echo":
    case "receive":
    case "client":
      return { cost: "µs/message", rate: "messages/s" }
    case "broadcast":
      return { cost: "µs/delivery", rate: "deliveries/s" }
    case "handshakes":
      return { cost: "µs/handshake", rate: "handshakes/s" }
    case "arrivals":
      return { cost: "µs/connection", rate: "all of them" }
    case "memory":
      return { cost: "B/connection", rate: "" }
  }
}
