import type { Server as HttpServer } from "node:http"
import type { Server as HttpsServer } from "node:https"
import type { Socket } from "node:net"
import { Server as TlsServer } from "node:tls"
import { type Member, Roster } from "../roster.js"
import type { Acceptor } from "../Transport.js"

/** The sockets of a server, among them those whose peers have said nothing yet, or nothing since their last answer. */

const PEER = Symbol("effect-websockets/peer")

/** One of them. */
class Peer implements Member {
  place = -1
  readonly socket: Socket
  /** To be called when it is heard; undefined while nothing is awaited. */
  settle: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }
}

type Known = Socket & { [PEER]?: Peer }

type Watch = Pick<Acceptor, "arrived">

export class Peers {
  private readonly acceptor: Watch
  private readonly peers = new Roster<Peer>()
  private readonly hasClosed: (this: Socket) => void

  constructor(acceptor: Watch) {
    const peers = this
    this.acceptor = acceptor
    // One function for all of them: a connection keeps it as long as it lives.
    this.hasClosed = function (this: Socket) {
      peers.gone(this)
    }
  }

  /** As it was accepted; `closeAllConnections` knows none that came by an event. */
  add(socket: Socket): void {
    this.await(this.enter(socket))
  }

  protected enter(socket: Known): Socket {
    const peer = new Peer(socket)
    this.peers.add(peer)
    return this.know(socket, peer)
  }

  protected know(socket: Known, peer: Peer): Socket {
    socket[PEER] = peer
    return socket.on("close", this.hasClosed)
  }

  protected await(socket: Socket, wasAnswered = false): void {
    const peer = (socket as Known)[PEER]
    if (peer !== undefined) peer.settle = this.acceptor.arrived(() => socket.destroy(), wasAnswered)
  }

  heard(socket: Socket): void {
    const peer = (socket as Known)[PEER]
    peer?.settle?.()
    if (peer !== undefined) peer.settle = undefined
  }

  /** All that it asked for is answered: on a connection that is kept it is silent again. */
  answered(socket: Socket): void {
    if (!socket.destroyed && !socket.writableEnded) this.await(socket, true)
  }

  protected gone(socket: Socket): void {
    this.heard(socket)
    const peer = (socket as Known)[PEER]
    if (peer !== undefined) this.peers.remove(peer)
  }

  destroy(): void {
    for (const { socket } of this.peers.all) socket.destroy()
  }
}

/** The same under TLS, which wraps the socket that was accepted in another one. */
export class TlsPeers extends Peers {
  /** Those in between, by the addresses of both ends, which both sockets have. */
  private readonly wrapped = new Map<string, Peer>()

  /** Ends of Unix sockets have no address: over that part node's `handshakeTimeout` watches. */
  private static key({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | undefined {
    return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
  }

  override add(socket: Known): void {
    const key = TlsPeers.key(socket)
    this.enter(socket)
    if (key === undefined) return
    const peer = socket[PEER]!
    this.wrapped.set(key, peer)
    // A socket that has closed does not know its addresses any more.
    socket.on("close", () => {
      // The next one from there may have come before this is told.
      if (this.wrapped.get(key) === peer) this.wrapped.delete(key)
    })
    this.await(socket)
  }

  /** The socket around it, once the handshake of TLS is done. */
  addSecure(socket: Socket): void {
    if (socket.destroyed) return
    const key = TlsPeers.key(socket)
    const peer = key === undefined ? undefined : this.wrapped.get(key)
    if (key !== undefined) this.wrapped.delete(key)
    if (peer === undefined) super.add(socket)
    else this.know(socket, peer)
  }
}

/** Watches over a server's peers until their first requests are there, which it hears of as well. */
export const watched = (server: HttpServer | HttpsServer, acceptor: Watch): Peers => {
  // Also one of HTTP/2 that speaks HTTP/1.1, too.
  const peers = server instanceof TlsServer ? new TlsPeers(acceptor) : new Peers(acceptor)
  server.on("connection", (socket: Socket) => peers.add(socket))
  if (peers instanceof TlsPeers) server.on("secureConnection", (socket: Socket) => peers.addSecure(socket))
  server.on("request", ({ socket }) => peers.heard(socket))
  server.on("upgrade", (_, socket: Socket) => peers.heard(socket))
  return peers
}
