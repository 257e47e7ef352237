import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { Socket } from "node:net"

/** The testee's own sockets, which are in this process: what a leak is made of. */

/** Counts what a server on this port has accepted, from now on, and not closed. */
export const openSockets = (port: number): { readonly count: () => number; readonly stop: () => void } => {
  const open = new Set<Socket>()
  const onSocket = (message: unknown) => {
    if (typeof message !== "object" || message === null || !("socket" in message)) return
    const { socket } = message
    if (!(socket instanceof Socket) || socket.localPort !== port) return
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  }
  subscribe("net.server.socket", onSocket)
  return { count: () => open.size, stop: () => unsubscribe("net.server.socket", onSocket) }
}
