import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { HttpServerResponse } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Exit, Schema, Scope } from "effect"
import { type Connection, type Deflate, HandshakeError } from "effect-websockets"
import { connect } from "../node/support.js"
import { type Authority, authority, file, type Tell } from "./child.js"
import { Counts, connectCounting, serveCounting } from "./counting.js"

/** What the tests with real peers share: one connection, and both ends of it. */

export type Content = string | Uint8Array

/** Which end of the connection the peer is; ours is the other. */
export type Role = "client" | "server"

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

  /** The same with a ping behind each fragment, whose pong is not waited for. */
  sendFragmentsAndPings(...contents: ReadonlyArray<Content>): Effect.Effect<void> {
    return Effect.asVoid(this.run("fragments", { contents: contents.map(encode), pinging: true }))
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
  /** How often our end has compressed and inflated. */
  readonly counts: Counts
  /** Closes the scope of our server or client. */
  readonly leave: Effect.Effect<void>
}

/** permessage-deflate as a peer that can be told is told, in RFC 7692's words. */
export interface Deflating {
  readonly server_no_context_takeover?: boolean
  readonly client_no_context_takeover?: boolean
  readonly server_max_window_bits?: number
  readonly client_max_window_bits?: number
}

export interface OpenOptions {
  readonly secure?: boolean
  /** What the client offers, and, where we are the server, what we speak; the peers' servers speak superchat and chat. */
  readonly subprotocols?: { readonly offered: ReadonlyArray<string>; readonly spoken: ReadonlyArray<string> }
  /** The client says that it is a page of our own server. */
  readonly asPage?: boolean
  /** What the server says as soon as it can, in the packet of its 101 where that is possible. */
  readonly greeting?: string
  /** What our end does about compression; nothing unless told otherwise. */
  readonly compression?: Deflate.Compression
  /** What the peer does, where it can be told. */
  readonly deflating?: Deflating
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
const ourServer = ({ pair }: Authority, { secure = false, subprotocols, greeting, compression }: OpenOptions) =>
  Effect.gen(function* () {
    const accepted = yield* Deferred.make<Connection.Connection>()
    const counts = new Counts()
    const { port } = yield* serveCounting(
      (connection) =>
        Effect.gen(function* () {
          if (greeting !== undefined) yield* connection.send(greeting)
          yield* Deferred.succeed(accepted, connection)
          yield* connection.closed
        }),
      counts,
      {
        compression,
        listen: { port: 0, host: "127.0.0.1", tls: secure ? pair : undefined },
        subprotocols: subprotocols?.spoken,
        onRequest: (request) => Effect.succeed(pages[request.url])
      }
    )
    const address = `${secure ? "s" : ""}://127.0.0.1:${port}`
    return { accepted, counts, uri: `ws${address}`, origin: `http${address}` }
  })

const peerIsClient = (tell: Tell, authority: Authority): Running => ({
  open: (options = {}) =>
    Effect.gen(function* () {
      const id = yield* freshId(tell)
      const own = yield* ownScope
      const { uri, origin, accepted, counts } = yield* Scope.extend(ourServer(authority, options), own)
      const opened = yield* tell({
        run: "open",
        id,
        url: `${uri}/${id}`,
        subprotocols: options.subprotocols?.offered,
        origin: options.asPage === true ? origin : undefined,
        deflate: options.deflating
      })
      const theirs = new Theirs(tell, id, Schema.decodeUnknownSync(Opened)(opened))
      return { ours: yield* Deferred.await(accepted), theirs, counts, leave: Scope.close(own, Exit.void) }
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

/** Has the peer start servers: the usual ones, or some that compress as told. */
const listen = (tell: Tell, deflate?: Deflating): Effect.Effect<typeof Ports.Type> =>
  Effect.map(tell({ run: "listen", deflate }), Schema.decodeUnknownSync(Ports))

const peerIsServer = (tell: Tell, authority: Authority): Effect.Effect<Running> =>
  Effect.map(listen(tell), (usual) => ({
    open: ({ secure = false, subprotocols, greeting, compression, deflating } = {}) =>
      Effect.gen(function* () {
        const ports = deflating === undefined ? usual : yield* listen(tell, deflating)
        const counts = new Counts()
        const id = yield* freshId(tell)
        const path = greeting === undefined ? id : `${id}?${new URLSearchParams({ greeting })}`
        const uri = secure ? `wss://127.0.0.1:${ports.wss}/${path}` : `ws://127.0.0.1:${ports.ws}/${path}`
        const own = yield* ownScope
        const options = { subprotocols: subprotocols?.offered, compression }
        const ours = yield* Scope.extend(connectCounting(uri, counts, options, { tls: { ca: authority.ca } }), own)
        const opened = yield* tell({ run: "accept", id })
        const theirs = new Theirs(tell, id, Schema.decodeUnknownSync(Opened)(opened))
        return { ours, theirs, counts, leave: Scope.close(own, Exit.void) }
      }),
    refused: connect(`ws://127.0.0.1:${usual.ws}/refused`).pipe(
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
