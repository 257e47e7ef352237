import { BlockList, isIP } from "node:net"
import { bare } from "./dial.js"

/** Which servers are reached without a proxy. */

/** A name or an address in its one form: lower case, without brackets and without the dot that ends a full name. */
const normal = (host: string): string => bare(host).toLowerCase().replace(/\.$/, "")

const family = (address: string): "ipv4" | "ipv6" | undefined =>
  (({ 4: "ipv4", 6: "ipv6" }) as const)[isIP(address) as 4 | 6]

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8)
loopback.addAddress("::1", "ipv6")

/** Whether a host is this machine itself, as far as its name tells. RFC 6761 §6.3. */
export const isLoopback = (hostname: string): boolean => {
  const host = normal(hostname)
  const kind = family(host)
  return kind === undefined ? host === "localhost" || host.endsWith(".localhost") : loopback.check(host, kind)
}

/** The host and the port of an entry; an address of IPv6 has a port only behind brackets. */
const split = (entry: string): { readonly host: string; readonly port: string | undefined } => {
  const found = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry)
  return found === null ? { host: entry, port: undefined } : { host: found[1] ?? "", port: found[2] }
}

const inNetwork = (network: string, host: string): boolean => {
  const kind = family(host)
  const [address = "", prefix = ""] = network.split("/")
  const of = family(normal(address))
  if (kind === undefined || of === undefined || !/^\d{1,3}$/.test(prefix)) return false
  if (Number(prefix) > (of === "ipv4" ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(normal(address), Number(prefix), of)
  return list.check(host, kind)
}

const matches = (entry: string, host: string, port: number): boolean => {
  if (entry === "*") return true
  if (entry.includes("/")) return inNetwork(entry, host)
  const only = split(entry)
  if (only.port !== undefined && Number(only.port) !== port) return false
  const name = normal(only.host).replace(/^\*?\./, "")
  if (name === "") return false
  const kind = family(name)
  if (kind === undefined) return family(host) === undefined && (host === name || host.endsWith(`.${name}`))
  return inNetwork(`${name}/${kind === "ipv4" ? 32 : 128}`, host)
}

/** Whether one of the entries of a `no_proxy` is meant. A name counts for all below it, an address in whatever form. */
export const isExcepted = (entries: ReadonlyArray<string>, hostname: string, port: number): boolean =>
  entries.some((entry) => matches(entry.trim(), normal(hostname), port))
