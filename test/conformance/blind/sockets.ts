import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { Socket } from "node:net"

/** The testee's own sockets, which are in this process: what a leak is made of. */

export interface Sockets {
  readonly seen: () => number
  /** How many of them are not closed. */
  readonly left: () => number
  readonly stop: () => void
}

/** Watches what a server on this port accepts from now on. */
export const openSockets = (port: number): Sockets => {
  const open = new Set<Socket>()
  let seen = 0
  const onSocket = (message: unknown) => {
    if (typeof message !== "object" || message === null || !("socket" in message)) return
    const { socket } = message
    if (!(socket instanceof Socket) || socket.localPort !== port) return
    open.add(socket)
    seen++
    socket.once("close", () => open.delete(socket))
  }
  subscribe("net.server.socket", onSocket)
  return { seen: () => seen, left: () => open.size, stop: () => void unsubscribe("net.server.socket", onSocket) }
}
