import type { Address } from "../Transport.js"

/** What node tells of an end of a socket, as platform's addresses have it. */
export const addressOf = (host: string | undefined, port: number | undefined): Address | undefined =>
  host === undefined || port === undefined ? undefined : { _tag: "TcpAddress", hostname: host, port }

export const unixAddress = (path: string): Address => ({ _tag: "UnixAddress", path })

/** Host and port for a sentence. */
export const show = (address: Address | undefined): string => {
  if (address === undefined) return "the peer"
  if (address._tag === "UnixAddress") return address.path
  return address.hostname.includes(":")
    ? `[${address.hostname}]:${address.port}`
    : `${address.hostname}:${address.port}`
}
