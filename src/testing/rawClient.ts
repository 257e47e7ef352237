import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Handshake from "../Handshake.js"
import { HandshakeError, type Reason } from "../HandshakeError.js"
import { InvalidUri } from "../InvalidUri.js"
import { makeOffer, type OfferOptions } from "../offer.js"
import * as uri from "../protocol/uri.js"
import { Connector, type RequestHead } from "../Transport.js"
import type { ConnectError } from "../WebSocketClient.js"
import { End } from "./end.js"
import { type Peer, StreamPeer } from "./peer.js"

/** A client that speaks whatever it is told, behind a real opening handshake; and one that asks for pages. */

/** What a raw client asks for. */
export type DialOptions = Omit<OfferOptions, "extensions">

/** Where all targets are. */
export const base = "ws://memory"

const destination = { secure: false, hostname: "memory", port: 80 }

export const dial = (
  target: string,
  options: DialOptions
): Effect.Effect<Peer, ConnectError, Connector | Scope.Scope> =>
  Effect.gen(function* () {
    const connector = yield* Connector
    const handshake = yield* Handshake.Handshake
    const parsed = uri.parse(base + target)
    if (typeof parsed === "string") return yield* new InvalidUri({ uri: base + target, problem: parsed })
    const refuse = (reason: Reason) => new HandshakeError({ uri: uri.show(parsed), reason })
    const offer = makeOffer(parsed, options, { key: handshake.key(), extensions: [], isForeign: false })
    if ("_tag" in offer) return yield* refuse(offer)
    const reply = yield* connector.exchange(destination, handshake.request(offer))
    if (reply._tag === "Answered") return yield* refuse({ ...reply, _tag: "Rejected" })
    if (reply.stream instanceof End) reply.stream.isPassive = true
    return new StreamPeer("client", reply.stream)
  })

/** What a server answers to a plain request. */
export interface Page {
  readonly status: number
  /** Names in lower case; several of one name in one value. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export const request = (
  target: string,
  { headers = [], method = "GET" }: Partial<Pick<RequestHead, "method" | "headers">>
): Effect.Effect<Page, ConnectError, Connector> =>
  Effect.scoped(
    Effect.gen(function* () {
      const connector = yield* Connector
      const { body, response } = yield* Effect.filterOrDie(
        connector.exchange(destination, {
          method,
          target,
          version: "1.1",
          headers: [["Host", destination.hostname], ...headers]
        }),
        (reply) => reply._tag === "Answered",
        () => new TypeError("this request asks for a WebSocket: use Testing.dial")
      )
      return {
        status: response.status,
        headers: Object.fromEntries(new Headers(response.headers.map(([name, value]) => [name, value]))),
        body: new TextDecoder().decode(body)
      }
    })
  )
