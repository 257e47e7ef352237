import * as ServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { toWeb } from "@effect/platform/HttpServerResponse"
import type * as Runtime from "effect/Runtime"
import type { Request, Response } from "./Transport.js"

/** What a request and a response are for the hook: those of `@effect/platform`. */

/** Path and query of a target in origin form, or in absolute form, which a server has to accept too. RFC 9112 §3.2. */
export const pathOf = (target: string): string => {
  if (target.startsWith("/")) return target
  if (!URL.canParse(target)) return "/"
  const { pathname, search } = new URL(target)
  return `${pathname}${search}`
}

/** The request as platform has it, or undefined where no URL and no headers can be made of it. */
export const fromExchange = (request: Request): ServerRequest.HttpServerRequest | undefined => {
  // The path alone decides: a host in the target, as a proxy gets it, is the peer's word.
  const path = pathOf(request.target)
  try {
    const headers = new Headers()
    for (const [name, value] of request.headers) headers.append(name, value)
    const url = `${request.peer.secure ? "https" : "http"}://${headers.get("host") ?? "localhost"}${path}`
    const web = ServerRequest.fromWeb(new globalThis.Request(url, { method: request.method, headers }))
    const { remote } = request.peer
    return remote === undefined
      ? web
      : web.modify({ remoteAddress: remote._tag === "TcpAddress" ? remote.hostname : remote.path })
  } catch {
    return undefined
  }
}

/** A hook's answer as the port has it. */
export const toResponse = (
  response: HttpServerResponse.HttpServerResponse,
  request: Request,
  runtime: Runtime.Runtime<never>
): Response => {
  const web = toWeb(response, { withoutBody: request.method === "HEAD", runtime })
  const headers: Array<readonly [string, string]> = []
  for (const [name, value] of web.headers) {
    if (name !== "set-cookie") headers.push([name, value])
  }
  for (const cookie of web.headers.getSetCookie()) headers.push(["set-cookie", cookie])
  return { status: web.status, headers, body: web.body ?? undefined }
}
