import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Handshake_ from "./protocol/Handshake.js"

/**
 * What is said and checked in the opening handshake. Read once, when the layer
 * of a server or of a client is built; replace it below that layer, with
 * `Layer.provide`.
 *
 * @see RFC 6455 §4
 */
export class Handshake extends Context.Reference<Handshake>()("effect-websockets/Handshake", {
  defaultValue: (): Service => standard
}) {}

export interface Service {
  /** Sixteen unpredictable bytes in base64, for each request of a client. */
  readonly key: () => string
  /** A server's check of any request; a rejection is its answer. */
  readonly checkRequest: typeof Handshake_.checkRequest
  /** A server's answer to a request for a WebSocket. */
  readonly answer: typeof Handshake_.answer
  /** A client's request. */
  readonly request: typeof Handshake_.request
  /** A client's reading of the answer. */
  readonly verify: typeof Handshake_.verify
}

const secureKey = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return btoa(String.fromCharCode(...bytes))
}

const standard: Service = {
  key: secureKey,
  checkRequest: Handshake_.checkRequest,
  answer: Handshake_.answer,
  request: Handshake_.request,
  verify: Handshake_.verify
}

export type {
  Agreement,
  ClientOffer,
  HeaderList,
  Rejection,
  RequestHead,
  ResponseHead,
  ServerPolicy
} from "./protocol/Handshake.js"
export { acceptKey, answer, checkRequest, isUpgrade, rejection, request, verify } from "./protocol/Handshake.js"

/** Replaces parts of the default for the layers above. */
export const layer = (parts: Partial<Service>): Layer.Layer<never> =>
  Layer.succeed(Handshake, { ...standard, ...parts })
