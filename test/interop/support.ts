import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { HttpServerResponse } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, FiberId, Schema, Scope } from "effect"
import { type Connection, HandshakeError } from "effect-websockets"
import { generate } from "selfsigned"
import { connect, folder, type Pair, serve } from "../node/support.js"
import { find, type Requirement } from "../support/requirements.js"

/** What the tests with real peers share: peers that do what they are told, and one connection between both ends. */

export type Content = string | Uint8Array

/** Which end of the connection the peer is; ours is the other. */
export type Role = "client" | "server"

// Certificates

export interface Authority {
  /** A folder with `ca.pem`, `cert.pem` and `key.pem`. */
  readonly path: string
  readonly ca: string
  /** A server's, for 127.0.0.1. */
  readonly pair: Pair
}

/** An authority of our own, and what it signed. */
export const authority: Effect.Effect<Authority, never, Scope.Scope> = Effect.gen(function* () {
  const path = yield* folder
  const { ca, pair } = yield* Effect.promise(async () => {
    const common = { keyType: "ec", algorithm: "sha256" } as const
    const issuer = await generate([{ name: "commonName", value: "Interop CA" }], {
      ...common,
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true }
      ]
    })
    const server = await generate([{ name: "commonName", value: "127.0.0.1" }], {
      ...common,
      ca: { key: issuer.private, cert: issuer.cert },
      extensions: [
        { name: "basicConstraints", cA: false },
        { name: "keyUsage", digitalSignature: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }
      ]
    })
    return { ca: issuer.cert, pair: { key: server.private, cert: server.cert } }
  })
  for (const [name, pem] of Object.entries({ ca, ...pair })) writeFileSync(join(path, `${name}.pem`), pem)
  return { path, ca, pair }
})

// Peers

/** What a peer is told; `web.mjs` has the commands. */
export interface Command {
  readonly run: string
  /** Which of its connections. */
  readonly id?: string
  readonly [argument: string]: unknown
}

/** Tells a peer what to do, and what came of it. What it cannot do is a defect. */
export type Tell = (command: Command) => Effect.Effect<unknown>

/** Where a file of this folder is. */
export const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const Answer = Schema.parseJson(
  Schema.Union(
    Schema.Struct({ call: Schema.Number, value: Schema.Unknown }),
    Schema.Struct({ call: Schema.Number, error: Schema.String })
  )
)

/** A peer that is a process of its own, told what to do by lines on its stdin. It is gone with the scope. */
class Child {
  private readonly process: ChildProcess
  private readonly calls = new Map<number, Deferred.Deferred<unknown>>()
  private last = 0
  private complaints = ""
  readonly gone: Promise<void>

  constructor(program: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv) {
    const child = spawn(program, args, { env, stdio: "pipe" })
    this.process = child
    createInterface({ input: child.stdout }).on("line", (line) => this.answer(line))
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.complaints += text
    })
    // A process that has ended reads no more; its end says more than this.
    child.stdin.on("error", () => {})
    this.gone = new Promise((resolve) => {
      const end = (how: unknown) => {
        for (const call of this.calls.values()) Deferred.unsafeDone(call, this.dead(how))
        resolve()
      }
      child.on("error", end)
      child.on("close", (code, signal) => end(code ?? signal))
    })
  }

  private dead(how: unknown): Effect.Effect<never> {
    return Effect.dieMessage(`the peer's process ended: ${how} ${this.complaints}`)
  }

  private answer(line: string): void {
    const answer = Schema.decodeSync(Answer)(line)
    const call = this.calls.get(answer.call)
    this.calls.delete(answer.call)
    if (call === undefined) return
    const done = "error" in answer ? Effect.dieMessage(`the peer: ${answer.error}`) : Effect.succeed(answer.value)
    Deferred.unsafeDone(call, done)
  }

  readonly tell: Tell = (command) =>
    Effect.suspend(() => {
      const { exitCode, signalCode } = this.process
      if (exitCode !== null || signalCode !== null) return this.dead(exitCode ?? signalCode)
      const call = ++this.last
      const answer = Deferred.unsafeMake<unknown>(FiberId.none)
      this.calls.set(call, answer)
      this.process.stdin?.write(`${JSON.stringify({ ...command, call })}\n`)
      return Deferred.await(answer)
    })

  kill(): void {
    this.process.kill("SIGKILL")
  }
}

export interface ChildOptions {
  readonly args?: ReadonlyArray<string>
  readonly env?: (authority: Authority) => NodeJS.ProcessEnv
}

/** Starts a program, or what a requirement stands for. */
export const child =
  (program: Requirement | "node", { args = [], env = () => ({}) }: ChildOptions) =>
  (authority: Authority): Effect.Effect<Tell, never, Scope.Scope> => {
    const path = program === "node" ? process.execPath : find(program)
    if (path === undefined) return Effect.dieMessage(`${program} is not installed`)
    // Nothing of ours changes what the peer does, no proxy and no option of node's.
    const { PATH, HOME } = process.env
    return Effect.acquireRelease(
      Effect.sync(() => new Child(path, args, { PATH, HOME, INTEROP_TLS: authority.path, ...env(authority) })),
      (started) => {
        started.kill()
        return Effect.promise(() => started.gone)
      }
    ).pipe(Effect.map((started) => started.tell))
  }

// Both ends of a connection

const Wire = Schema.Union(Schema.String, Schema.Struct({ base64: Schema.String }))

const encode = (content: Content): typeof Wire.Type =>
  typeof content === "string" ? content : { base64: Buffer.from(content).toString("base64") }

const decode = (content: typeof Wire.Type): Content =>
  typeof content === "string" ? content : Uint8Array.from(Buffer.from(content.base64, "base64"))

const Contents = Schema.Array(Wire)
const Opened = Schema.Struct({ subprotocol: Schema.String })
const Refused = Schema.Struct({ refused: Schema.Union(Schema.Number, Schema.Boolean) })
const End = Schema.Struct({ code: Schema.Number, reason: Schema.String })
const Ports = Schema.Struct({ ws: Schema.Number, wss: Schema.Number })

/** The peer's end of one connection. */
export class Theirs {
  private readonly tell: Tell
  private readonly id: string
  readonly subprotocol: string

  constructor(tell: Tell, id: string, { subprotocol }: typeof Opened.Type) {
    this.tell = tell
    this.id = id
    this.subprotocol = subprotocol
  }

  private run(run: string, parameters: object = {}): Effect.Effect<unknown> {
    return this.tell({ run, id: this.id, ...parameters })
  }

  send(...contents: ReadonlyArray<Content>): Effect.Effect<void> {
    return Effect.asVoid(this.run("send", { contents: contents.map(encode) }))
  }

  sendFragments(...contents: ReadonlyArray<Content>): Effect.Effect<void> {
    return Effect.asVoid(this.run("fragments", { contents: contents.map(encode) }))
  }

  receive(count: number): Effect.Effect<ReadonlyArray<Content>> {
    return Effect.map(this.run("receive", { count }), (contents) =>
      Schema.decodeUnknownSync(Contents)(contents).map(decode)
    )
  }

  /** Sends a ping and waits for our pong. */
  get ping(): Effect.Effect<void> {
    return Effect.asVoid(this.run("ping"))
  }

  /** Ends the connection without a close frame. */
  get cut(): Effect.Effect<void> {
    return Effect.asVoid(this.run("cut"))
  }

  close(code?: number, reason?: string): Effect.Effect<void> {
    return Effect.asVoid(this.run("close", { code, reason }))
  }

  get closed(): Effect.Effect<typeof End.Type> {
    return Effect.map(this.run("closed"), Schema.decodeUnknownSync(End))
  }
}

export interface Both {
  readonly ours: Connection.Connection
  readonly theirs: Theirs
  /** Closes the scope of our server or client. */
  readonly leave: Effect.Effect<void>
}

export interface OpenOptions {
  readonly secure?: boolean
  /** What the client offers, and, where we are the server, what we speak; the peers' servers speak superchat and chat. */
  readonly subprotocols?: { readonly offered: ReadonlyArray<string>; readonly spoken: ReadonlyArray<string> }
  /** The client says that it is a page of our own server. */
  readonly asPage?: boolean
  /** What the server says as soon as it can, in the packet of its 101 where that is possible. */
  readonly greeting?: string
}

/** A peer that runs, and what a feature is tried with. */
export interface Running {
  /** Opens a connection between the peer and us; both ends are there. */
  readonly open: (options?: OpenOptions) => Effect.Effect<Both, unknown, Scope.Scope>
  /** The peer's client is refused by our server, or ours by the peer's: the status, as far as the client tells it. */
  readonly refused: Effect.Effect<number | undefined, unknown, Scope.Scope>
}

/** What a browser's end needs of our server. */
const pages: Readonly<Record<string, HttpServerResponse.HttpServerResponse>> = {
  "/": HttpServerResponse.html("<!doctype html><title>A page</title>"),
  "/web.mjs": HttpServerResponse.text(readFileSync(file("web.mjs"), "utf8"), { contentType: "text/javascript" })
}

/** A server of ours, whose connections are the test's. */
const ourServer = ({ pair }: Authority, { secure = false, subprotocols, greeting }: OpenOptions) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Connection.Connection>()
    const { port } = yield* serve(
      (connection) =>
        Effect.gen(function* () {
          if (greeting !== undefined) yield* connection.send(greeting)
          yield* Deferred.succeed(accepted, connection)
          yield* connection.closed
        }),
      {
        listen: { port: 0, host: "127.0.0.1", tls: secure ? pair : undefined },
        subprotocols: subprotocols?.spoken,
        onRequest: (request) => Effect.succeed(pages[request.url])
      }
    )
    const address = `${secure ? "s" : ""}://127.0.0.1:${port}`
    return { accepted, uri: `ws${address}`, origin: `http${address}` }
  })

const peerIsClient = (tell: Tell, authority: Authority): Running => ({
  open: (options = {}) =>
    Effect.gen(function* () {
      const id = yield* freshId(tell)
      const own = yield* ownScope
      const { uri, origin, accepted } = yield* Scope.extend(ourServer(authority, options), own)
      const opened = yield* tell({
        run: "open",
        id,
        url: `${uri}/${id}`,
        subprotocols: options.subprotocols?.offered,
        origin: options.asPage === true ? origin : undefined
      })
      const theirs = new Theirs(tell, id, Schema.decodeUnknownSync(Opened)(opened))
      return { ours: yield* Deferred.await(accepted), theirs, leave: Scope.close(own, Exit.void) }
    }),
  refused: Effect.gen(function* () {
    const id = yield* freshId(tell)
    const { uri } = yield* ourServer(authority, {})
    const { origin } = yield* ourServer(authority, {})
    const answer = yield* tell({ run: "open", id, url: `${uri}/${id}`, origin })
    const { refused } = Schema.decodeUnknownSync(Refused)(answer)
    return typeof refused === "number" ? refused : undefined
  })
})

const peerIsServer = (tell: Tell, authority: Authority): Effect.Effect<Running> =>
  Effect.map(Effect.map(tell({ run: "listen" }), Schema.decodeUnknownSync(Ports)), (ports) => ({
    open: ({ secure = false, subprotocols, greeting } = {}) =>
      Effect.gen(function* () {
        const id = yield* freshId(tell)
        const path = greeting === undefined ? id : `${id}?${new URLSearchParams({ greeting })}`
        const uri = secure ? `wss://127.0.0.1:${ports.wss}/${path}` : `ws://127.0.0.1:${ports.ws}/${path}`
        const own = yield* ownScope
        const ours = yield* connect(uri, { subprotocols: subprotocols?.offered }, { tls: { ca: authority.ca } }).pipe(
          Scope.extend(own)
        )
        const opened = yield* tell({ run: "accept", id })
        const theirs = new Theirs(tell, id, Schema.decodeUnknownSync(Opened)(opened))
        return { ours, theirs, leave: Scope.close(own, Exit.void) }
      }),
    refused: connect(`ws://127.0.0.1:${ports.ws}/refused`).pipe(
      Effect.flip,
      Effect.map((error) =>
        error instanceof HandshakeError && error.reason._tag === "Rejected"
          ? error.reason.response.status
          : assert.fail(String(error))
      )
    )
  }))

/** The scope of our end, which ends before the peer forgets its own. */
const ownScope = Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))

/** The name of a connection, which the peer forgets with the scope. */
const freshId = (tell: Tell) =>
  Effect.acquireRelease(
    Effect.sync(() => randomUUID()),
    (id) => tell({ run: "drop", id })
  )

/** Starts a peer for all features of a column. */
export const start = (role: Role, launch: (authority: Authority) => Effect.Effect<Tell, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const made = yield* authority
    const tell = yield* launch(made)
    return role === "client" ? peerIsClient(tell, made) : yield* peerIsServer(tell, made)
  })
