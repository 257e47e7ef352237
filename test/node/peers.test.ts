import { EventEmitter } from "node:events"
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { TlsPeers } from "../../src/node/peers.js"

/** What a server's peers ask of a socket. */
class Fake extends EventEmitter {
  readonly remoteAddress = "192.0.2.1"
  readonly remotePort = 50_000
  readonly localAddress = "192.0.2.2"
  readonly localPort = 443
  readonly destroyed = false
}

const socket = () => new Fake() as unknown as Socket

describe("H3: peers under TLS", () => {
  it("are heard where an address comes again before the end of the socket that had it is told", () => {
    const silent = new Set<object>()
    const peers = new TlsPeers({
      arrived: () => {
        const silence = {}
        silent.add(silence)
        return () => void silent.delete(silence)
      }
    })
    const meet = (accepted: Socket, between: () => void = () => {}) => {
      peers.add(accepted)
      between()
      const secure = socket()
      peers.addSecure(secure)
      peers.heard(secure)
    }
    const [first, second] = [socket(), socket()]
    meet(first)
    meet(second, () => first.emit("close"))
    assert.strictEqual(silent.size, 0)
  })
})
