import { assert } from "vitest"
import * as Handshake from "../../src/protocol/Handshake.js"

export const key = "dGhlIHNhbXBsZSBub25jZQ=="
export const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

export const required: Handshake.HeaderList = [
  ["Host", "example.com"],
  ["Upgrade", "websocket"],
  ["Connection", "Upgrade"],
  ["Sec-WebSocket-Key", key],
  ["Sec-WebSocket-Version", "13"]
]

export const request = (
  headers: Handshake.HeaderList = required,
  change: Partial<Omit<Handshake.RequestHead, "headers">> = {}
): Handshake.RequestHead => ({ method: "GET", target: "/", version: "1.1", ...change, headers })

/** The required headers, where one of them has these values instead: none takes it away. */
export const having = (name: string, ...values: ReadonlyArray<string>): Handshake.HeaderList => [
  ...required.filter(([other]) => other !== name),
  ...values.map((value) => [name, value] as const)
]

export const answer = (headers: Handshake.HeaderList, policy: Handshake.ServerPolicy = {}) =>
  Handshake.answer(request(headers), policy)

export const agreed = (headers: Handshake.HeaderList, policy: Handshake.ServerPolicy = {}): Handshake.Agreement => {
  const result = answer(headers, policy)
  assert(result._tag === "Agreement", result._tag === "Rejection" ? result.body : "")
  return result
}

export const status = (result: Handshake.Agreement | Handshake.Rejection | undefined): number | undefined =>
  result === undefined ? undefined : result._tag === "Agreement" ? result.response.status : result.status
