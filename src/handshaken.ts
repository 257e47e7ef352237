import * as Option from "effect/Option"
import type { Handshake } from "./liveConnection.js"
import type { Agreement, HeaderList, RequestHead, ResponseHead } from "./protocol/Handshake.js"

const BREAK = "\n"

const add = (parts: Array<string>, headers: HeaderList): void => {
  for (const header of headers) parts.push(header[0], header[1])
}

const headersOf = (parts: ReadonlyArray<string>): HeaderList => {
  const headers: Array<readonly [string, string]> = []
  for (let i = 0; i + 1 < parts.length; i += 2) headers.push([parts[i]!, parts[i + 1]!])
  return headers
}

/**
 * What both ends said in the opening handshake, kept as one text, in which no
 * header has a line break: as lists of headers it would be a fifth of what an
 * idle connection takes.
 */
export const handshaken = (
  { method, target, version, headers }: RequestHead,
  response: ResponseHead,
  { extensions, subprotocol }: Pick<Agreement, "extensions" | "subprotocol">
): (() => Handshake) => {
  const { status } = response
  const count = headers.length
  const parts = [method, target]
  add(parts, headers)
  add(parts, response.headers)
  // Joined, and not added up, which would keep all of the parts.
  const text = parts.join(BREAK)
  return () => {
    const [method = "", target = "", ...rest] = text.split(BREAK)
    return {
      request: { method, target, version, headers: headersOf(rest.slice(0, 2 * count)) },
      response: { status, headers: headersOf(rest.slice(2 * count)) },
      subprotocol: Option.fromNullable(subprotocol),
      extensions
    }
  }
}
