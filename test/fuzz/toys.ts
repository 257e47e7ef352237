import type { Extension } from "../../src/protocol/Extension.js"
import type { ServerPolicy } from "../../src/protocol/Handshake.js"

/** Extensions and servers for handshakes that are made up. */

const flip =
  (by: number) =>
  (bytes: Uint8Array): Uint8Array =>
    bytes.map((byte) => byte ^ by)

/** An extension that flips bits under these reserved bits, and answers whatever it is offered with the same. */
const toy = (name: string, rsv: number, by: number): Extension => {
  const codec = { rsv, encode: flip(by), decode: flip(by) }
  return {
    name,
    offers: [[{ name: "level", value: "1" }], []],
    answer: (parameters) => (parameters.length < 3 ? { parameters, codec } : undefined),
    accept: (parameters) => (parameters.length < 3 ? codec : undefined)
  }
}

/** The first two want the same bit. */
export const toys: ReadonlyArray<Extension> = [toy("a", 4, 0xff), toy("b", 4, 0x0f), toy("x-toy", 2, 0xf0)]

export const policies: ReadonlyArray<ServerPolicy> = [
  {},
  { dangerouslyAcceptAnyOrigin: true, extensions: toys },
  { origins: ["http://example.com", /https:\/\/\w+\.example\.com/, null], subprotocols: ["superchat", "chat"] },
  { subprotocols: (offered) => offered[0], extensions: [...toys].reverse() },
  { subprotocols: () => undefined, extensions: toys.slice(0, 1) }
]
