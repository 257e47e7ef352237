import { isIP, type LookupFunction, connect as netConnect } from "node:net"
import type { Duplex } from "node:stream"
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate, connect as tlsConnect } from "node:tls"
import type * as Redacted from "effect/Redacted"
import type { Destination } from "../Transport.js"
import { reveal } from "./reveal.js"

/** Where node's sockets to other hosts are made: TCP or a Unix socket, or a stream that is there already; and TLS over it. */

/** What a client says and expects in TLS, and whatever else `tls.connect` takes. */
export interface ClientTls
  extends Omit<ConnectionOptions, "host" | "port" | "path" | "socket" | "rejectUnauthorized" | "key" | "passphrase"> {
  /** The client's own key, PEM; as `Redacted` it shows up in no log. */
  readonly key?: ConnectionOptions["key"] | Redacted.Redacted<string>
  /** For a key that is encrypted. */
  readonly passphrase?: string | Redacted.Redacted<string> | undefined
  /** Accepts whatever certificate the server shows, so that anybody in between can read and change everything. */
  readonly dangerouslyAcceptAnyCertificate?: boolean | undefined
}

/** Another way than a connection to the host itself. */
export interface Route {
  /** Connects to this host instead, by its name or address. */
  readonly host?: string | undefined
  /** Connects to this port instead. */
  readonly port?: number | undefined
  readonly path?: string | undefined
  readonly localAddress?: string | undefined
  readonly lookup?: LookupFunction | undefined
  readonly duplex?: Duplex | undefined
}

/** A host as the system's functions want it: an IPv6 address without brackets. */
export const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, "")

/** Host and port, for CONNECT and for sentences. */
export const authorityOf = ({ hostname, port }: Destination): string => `${hostname}:${port}`

/**
 * Starts to open a stream of bytes to a host, with TLS if that is given. The
 * certificate has to be the host's, wherever the route leads.
 */
export const dial = (hostname: string, port: number, route: Route, tls: ClientTls | undefined): Duplex => {
  const { path, localAddress, lookup, duplex } = route
  const host = bare(route.host ?? hostname)
  const where =
    path === undefined
      ? { host, port: route.port ?? port, localAddress, ...(lookup === undefined ? {} : { lookup }) }
      : { path }
  if (tls === undefined) return duplex ?? netConnect(where)
  return tlsConnect({ ...tlsOptions(bare(hostname), tls), ...(duplex === undefined ? where : { socket: duplex }) })
}

const tlsOptions = (host: string, tls: ClientTls): ConnectionOptions => {
  const { dangerouslyAcceptAnyCertificate, key, passphrase, ...options } = tls
  const expected = options.servername || host
  const check = options.checkServerIdentity ?? checkServerIdentity
  return {
    ALPNProtocols: ["http/1.1"],
    // SNI is for names: RFC 6066 §3.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...options,
    ...(key === undefined ? {} : { key: reveal(key) }),
    ...(passphrase === undefined ? {} : { passphrase: reveal(passphrase) }),
    // Node compares with what it connects to, which need not be the host that is meant.
    checkServerIdentity: (_: string, certificate: PeerCertificate) => check(expected, certificate),
    rejectUnauthorized: dangerouslyAcceptAnyCertificate !== true
  }
}
