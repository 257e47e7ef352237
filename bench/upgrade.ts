import { createHash } from "node:crypto"

/** The opening handshake as bytes, RFC 6455 §4.1 and §4.2.2, for the load generator and for bare servers. */

export const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

const extensions = (extension: string | undefined): string =>
  extension === undefined ? "" : `Sec-WebSocket-Extensions: ${extension}\r\n`

export const requestHead = (host: string, key: string, extension?: string): string =>
  `GET / HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
  `${extensions(extension)}Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`

export const responseHead = (accept: string, extension?: string): string =>
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
  `${extensions(extension)}Sec-WebSocket-Accept: ${accept}\r\n\r\n`

/** A field of a head. */
export const fieldOf = (head: string, name: string): string | undefined =>
  new RegExp(`^${name}: *(.*)\\r$`, "im").exec(head)?.[1]
