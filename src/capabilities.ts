/** What connections of a client can do that not every runtime can: a browser has less than a socket. */
export interface Capabilities {
  /** Sends pings and pongs, measures `latency`, and notices a silent peer by keepalive. RFC 6455 §5.5.2. */
  readonly ping: boolean
  /** The request says what the program wants: headers, `Origin`, `User-Agent`, the URI's user. */
  readonly headers: boolean
  /** Compression and other extensions are the program's to choose; otherwise they are the runtime's. RFC 6455 §9. */
  readonly extensions: boolean
  /** Redirects are followed. */
  readonly redirects: boolean
  /** A refusal has its status, headers and body; otherwise it is known that opening has failed, and not why. */
  readonly refusals: boolean
  /** Fragments go out, and come in, one by one; otherwise messages are whole either way. RFC 6455 §5.4. */
  readonly fragments: boolean
  /** Reading stops when too much waits to be taken, and the peer with it; otherwise that ends the connection. */
  readonly pauseReading: boolean
  /** Every code of RFC 6455 §7.4 can be sent; otherwise 1000 and 3000 to 4999. */
  readonly closeCodes: boolean
  /** The transport can be cut; otherwise a peer that does not answer is left to the runtime. */
  readonly cut: boolean
}

/** Of a connection that has a stream of bytes. */
export const everything: Capabilities = {
  ping: true,
  headers: true,
  extensions: true,
  redirects: true,
  refusals: true,
  fragments: true,
  pauseReading: true,
  closeCodes: true,
  cut: true
}

/** Of a connection over a socket that carries whole messages and closes by itself, as a browser's WebSocket. */
export const wholeMessages: Capabilities = {
  ping: false,
  headers: false,
  extensions: false,
  redirects: false,
  refusals: false,
  fragments: false,
  pauseReading: false,
  closeCodes: false,
  cut: false
}
