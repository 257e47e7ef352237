import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type { Extension } from "./protocol/Extension.js"
import type { MaskingKeys } from "./protocol/FrameEncoder.js"

/**
 * What a connection's decoder and encoder take from outside: randomness and
 * extensions. Read once, when the layer of a server or of a client is built;
 * replace it below that layer, with `Layer.provide`.
 */
export class Framing extends Context.Reference<Framing>()("effect-websockets/Framing", {
  defaultValue: (): Service => ({ maskingKeys: secureNumbers, pingPayloads: secureNumbers, extensions: [] })
}) {}

export interface Service {
  /** 32 unpredictable bits for each frame of a client. RFC 6455 §5.3, §10.3. */
  readonly maskingKeys: MaskingKeys
  /** 32 unpredictable bits for each ping, so that its pong is known from any other. */
  readonly pingPayloads: () => number
  /** What is offered and agreed to, the first choice first. RFC 6455 §9. */
  readonly extensions: ReadonlyArray<Extension>
}

export { defaultLimits, type Limits } from "./protocol/FrameDecoder.js"

/** How many random numbers are drawn at once: one by one, each would cost a call into the system. */
const POOL = 1024
let pool: Uint32Array<ArrayBuffer> | undefined
let used = POOL

/** 32 bits from the system's secure source. */
export const secureNumbers = (): number => {
  if (used === POOL) {
    pool = crypto.getRandomValues(pool ?? new Uint32Array(POOL))
    used = 0
  }
  return pool![used++]!
}

/** Replaces parts of the default for the layers above. */
export const layer = (parts: Partial<Service>): Layer.Layer<never> =>
  Layer.succeed(Framing, { maskingKeys: secureNumbers, pingPayloads: secureNumbers, extensions: [], ...parts })
