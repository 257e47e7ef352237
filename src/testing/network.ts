import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { ListenError } from "../ListenError.js"
import { isUpgrade } from "../protocol/Handshake.js"
import {
  type Acceptor,
  Connector,
  type Destination,
  Listener,
  type Reply,
  type Request,
  type RequestHead,
  type Response,
  type ResponseHead
} from "../Transport.js"
import { type Operation, TransportError } from "../TransportError.js"
import type { Said } from "./recording.js"
import { type Ends, type Faults, makeEnds, type Wire } from "./wire.js"

/**
 * What becomes of a client's attempt to connect: it is refused as where nobody
 * listens; it is never answered, until the client's `openTimeout` is up; it is
 * answered in the server's stead, as `{ status: 503 }`; or it gets a wire with
 * these faults beside the network's.
 */
export type Dial = "refused" | "unanswered" | Answer | { readonly faults: Partial<Faults> }

/** An answer in the server's stead; without headers unless told otherwise. */
export type Answer = Pick<Response, "status" | "body"> & Partial<Pick<Response, "headers">>

/** A client's attempt to connect, or to ask for a page. */
export interface Dialled {
  /** Milliseconds of the Clock. */
  readonly at: number
  readonly destination: Destination
  readonly request: RequestHead
}

/** The wires between the clients and the server of an in-memory network. */
export class Network extends Context.Tag("effect-websockets/testing/Network")<
  Network,
  {
    /** All wires so far, the oldest first; those of closed connections too. */
    readonly wires: Effect.Effect<ReadonlyArray<Wire>>
    /** The faults that wires have from now on when they are made, so that they hit the opening handshake too. */
    readonly setFaults: (faults: Partial<Faults>) => Effect.Effect<void>
    /** Decides about the next attempts to connect, one after the other, behind those decided before. */
    readonly nextDials: (...dials: ReadonlyArray<Dial>) => Effect.Effect<void>
    /** All attempts to connect so far, whatever became of them. */
    readonly dials: Effect.Effect<ReadonlyArray<Dialled>>
    /** Takes all faults back, those of the wires and those to come: a network that is left so keeps nothing waiting. */
    readonly heal: Effect.Effect<void>
    /** The same, and cuts the peers of `dial`: they answer nothing, and a server that stops would wait for them. */
    readonly release: Effect.Effect<void>
  }
>() {}

/**
 * A listener and a connector that are each other's only peers, in memory.
 *
 * Handshake, frames and closing are the real ones; there is no HTTP text and
 * no network, so that every timer is the Clock's, and a test decides what
 * arrives and when. Host and port of a URI mean nothing.
 */
export const layer: Layer.Layer<Listener | Connector | Network> = Layer.effectContext(
  Effect.sync(() => {
    const memory = new Memory()
    return Context.make(Network, memory.network).pipe(
      Context.add(Listener, { listen: (acceptor) => memory.listen(acceptor) }),
      Context.add(Connector, { exchange: (destination, request) => memory.exchange(destination, request) })
    )
  })
)

class Memory {
  private readonly ends: Array<Ends> = []
  private readonly dials: Array<Dialled> = []
  private readonly decided: Array<Dial> = []
  private faults: Partial<Faults> = {}
  private acceptor: Acceptor | undefined

  get network(): Context.Tag.Service<Network> {
    return {
      wires: Effect.sync(() => this.ends.map(({ wire }) => wire)),
      setFaults: (faults) =>
        Effect.sync(() => {
          this.faults = { ...this.faults, ...faults }
        }),
      nextDials: (...dials) => Effect.sync(() => void this.decided.push(...dials)),
      dials: Effect.sync(() => [...this.dials]),
      heal: this.heal,
      release: Effect.zipRight(
        this.heal,
        Effect.sync(() => {
          for (const { client } of this.ends) if (client.isPassive) client.destroy()
        })
      )
    }
  }

  private get heal(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.faults = {}
      this.decided.length = 0
      return Effect.forEach(this.ends, ({ wire }) => wire.heal, { discard: true })
    })
  }

  listen(acceptor: Acceptor) {
    return Effect.acquireRelease(
      Effect.suspend(() => {
        if (this.acceptor !== undefined) {
          const cause = new Error("another server listens on this network")
          return Effect.fail(new ListenError({ address: "memory", code: "EADDRINUSE", cause }))
        }
        this.acceptor = acceptor
        return Effect.succeed([{ _tag: "TcpAddress" as const, hostname: "memory", port: 80 }])
      }),
      () =>
        Effect.sync(() => {
          this.acceptor = undefined
        })
    )
  }

  exchange(destination: Destination, request: RequestHead): Effect.Effect<Reply, TransportError, Scope.Scope> {
    return Effect.flatMap(Clock.currentTimeMillis, (at) => {
      this.dials.push({ at, destination, request })
      const dial = this.decided.shift() ?? { faults: {} }
      if (dial === "refused") return Effect.fail(refused("the test has it refused"))
      if (dial === "unanswered") return Effect.never
      if ("status" in dial) return answered({ headers: [], ...dial })
      return this.reach(destination, request, { ...this.faults, ...dial.faults })
    })
  }

  private reach(
    { secure }: Destination,
    request: RequestHead,
    faults: Partial<Faults>
  ): Effect.Effect<Reply, TransportError, Scope.Scope> {
    return Effect.flatMap(
      Effect.acquireRelease(
        Effect.tap(makeEnds(faults), (ends) => Effect.sync(() => this.ends.push(ends))),
        ({ client }) => Effect.sync(() => client.destroy())
      ),
      (ends) =>
        this.acceptor === undefined
          ? Effect.fail(refused("no server listens on this network"))
          : ask(this.acceptor, ends, { ...request, peer: { secure, remote: ends.client.localAddress() } })
    )
  }
}

const failure = (operation: Operation, code: string, problem: string) =>
  new TransportError({ operation, peer: "memory", code, cause: new Error(problem) })

const refused = (problem: string) => failure("connect", "ECONNREFUSED", problem)

const cutOff = () => failure("handshake", "ECONNRESET", "the server ended the connection without an answer")

const answered = (response: Response): Effect.Effect<Reply> =>
  Effect.map(bodyOf(response), (body) => ({ _tag: "Answered", response, body }))

/** One exchange over a wire, whose faults are the handshake's as well. */
const ask = (acceptor: Acceptor, { client, server }: Ends, request: Request): Effect.Effect<Reply, TransportError> =>
  Effect.async<Reply, TransportError>((resume) => {
    const settle = acceptor.arrived(() => server.destroy())
    server.onGone(settle)
    client.onGone((error) => resume(Effect.fail(error ?? cutOff())))
    client.onEnd(() => resume(Effect.fail(cutOff())))
    const { peer: _, ...head } = request
    client.say({ _tag: "Request", from: "client", request: head }, () => {
      settle()
      acceptor.exchange({
        request,
        isUpgrade: isUpgrade(request),
        accept: (response) => {
          server.say(saying(response), () => resume(Effect.succeed({ _tag: "Switched", response, stream: client })))
          return server
        },
        respond: (response) => {
          server.say(saying(response), () => resume(answered(response)))
          server.end()
        },
        abort: () => server.destroy(),
        onAbort: (gone) => {
          server.onEnd(gone)
          server.onGone(gone)
        }
      })
    })
  })

const saying = ({ headers, status, version }: ResponseHead): Said => ({
  _tag: "Response",
  from: "server",
  response: { status, version, headers }
})

const bodyOf = ({ body }: Response): Effect.Effect<Uint8Array> => {
  if (body === undefined) return Effect.succeed(new Uint8Array(0))
  if (typeof body === "string") return Effect.succeed(new TextEncoder().encode(body))
  if (body instanceof Uint8Array) return Effect.succeed(body)
  return Effect.promise(async () => new Uint8Array(await new globalThis.Response(body as BodyInit).arrayBuffer()))
}
