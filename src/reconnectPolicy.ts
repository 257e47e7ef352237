import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import { HandshakeError } from "./HandshakeError.js"
import { InvalidUri } from "./InvalidUri.js"
import { ProxyError } from "./ProxyError.js"
import * as CloseCode from "./protocol/CloseCode.js"
import type { ResponseHead } from "./protocol/Handshake.js"
import { all, only } from "./protocol/headers.js"
import { codeOf, TransportError } from "./TransportError.js"

/** What is worth another attempt, and when. */

/** The first attempt comes at random within so many milliseconds: many clients that a server loses do not come back at once. */
const FIRST_WITHIN = 5_000
/** The next ones after so many milliseconds, which grow by a factor up to a maximum, each a fifth more or less at random. */
const BASE = 3_100
const FACTOR = 1.618
const LONGEST = 90_000
const LEAST = 0.8
const MOST = 1.2

/**
 * When to try again: the first time after 0 to 5 seconds at random, then after
 * 3.1, 5.0, 8.1 … up to 90 seconds, each times 0.8 to 1.2 at random. It never
 * gives up. Randomness is Effect's `Random`.
 */
export const defaultSchedule: Schedule.Schedule<number> = Schedule.unfold(0, (n) => n + 1).pipe(
  Schedule.addDelayEffect((n) =>
    Effect.map(
      n === 0
        ? Random.nextRange(0, FIRST_WITHIN)
        : Random.nextRange(LEAST, MOST).pipe(
            Effect.map((spread) => Math.min(BASE * FACTOR ** (n - 1), LONGEST) * spread)
          ),
      Math.round
    )
  )
)

/** Answers that tell of a server, or of one before it, that is not well now. */
const temporary = new Set([500, 502, 503, 504])

/** Whether an answer may be another one later: also one of too many requests that says when. RFC 6585 §4. */
const isPassingAnswer = ({ status, headers }: ResponseHead): boolean =>
  temporary.has(status) || (status === 429 && all(headers, "retry-after").length > 0)

/** The system's word for a network that fails, and not TLS's, node's or the HTTP parser's for something that will fail again. */
const isOfNetwork = (code: string): boolean => /^E(?!PROTO$)[A-Z0-9]+$|^EAI_[A-Z]+$/.test(code)

/** Whether a failure that has, or whose cause has, such a word may be over the next time; one without is an end of stream. */
const isPassing = ({ code, cause }: { readonly code: string | undefined; readonly cause: unknown }): boolean => {
  const word = code ?? codeOf(cause)
  return word === undefined || isOfNetwork(word)
}

const isPassingOfProxy = ({ reason }: ProxyError): boolean => {
  switch (reason._tag) {
    case "Unreachable":
    case "Broken":
      return isPassing(reason)
    case "Rejected":
      return isPassingAnswer(reason.response)
    case "InvalidProxy":
    case "SocksRejected":
    case "NotInstalled":
      return false
  }
}

/**
 * Whether an attempt that failed so may succeed later: the network failed or
 * ended the connection, `openTimeout` was up, or the answer was 500, 502, 503,
 * 504 or a 429 with `Retry-After`, a proxy's too; or a browser does not say
 * what it was. Not so: an invalid URI or option, another answer, a redirect
 * that is not followed, a certificate that is not trusted, a server that
 * speaks no TLS; and what is no error of ours.
 */
export const isTransient = (error: unknown): boolean => {
  if (error instanceof InvalidUri) return false
  if (error instanceof TransportError) return isPassing(error)
  if (error instanceof ProxyError) return isPassingOfProxy(error)
  if (!(error instanceof HandshakeError)) return false
  switch (error.reason._tag) {
    case "Rejected":
      return isPassingAnswer(error.reason.response)
    case "Timeout":
    // It may be any of these, and who gives up on a network that fails does not come back.
    case "Unexplained":
      return true
    case "InvalidHeader":
    case "InvalidOption":
    case "InvalidRedirect":
    case "InsecureRedirect":
    case "RedirectLoop":
    case "TooManyRedirects":
      return false
  }
}

/** The codes of ends that are not meant for good. */
const comeBack = new Set<number>([
  CloseCode.GoingAway,
  CloseCode.AbnormalClosure,
  CloseCode.InternalError,
  CloseCode.ServiceRestart,
  CloseCode.TryAgainLater,
  CloseCode.BadGateway
])

/**
 * Whether a connection that ended so is worth another: whoever began to close
 * it said 1001, 1011, 1012, 1013 or 1014, or nobody said anything (1006). Not
 * so: 1000, no code, what tells that one side misunderstands the other (1002,
 * 1003, 1007 to 1010), and the codes of applications (3000 to 4999).
 */
export const isTemporary = ({ closure }: ConnectionClosed): boolean => {
  const first = closure.initiator === "local" ? closure.sent : closure.received
  return comeBack.has(first?.code ?? CloseCode.AbnormalClosure)
}

/** The milliseconds that a server or proxy asks to be left alone with a 503 or 429, 0 where it asks for none. RFC 9110 §10.2.3. */
export const retryAfter = (error: unknown, now: number): number => {
  if (!(error instanceof HandshakeError || error instanceof ProxyError) || error.reason._tag !== "Rejected") return 0
  const { status, headers } = error.reason.response
  const value = only(headers, "retry-after")
  if ((status !== 503 && status !== 429) || value === undefined) return 0
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1_000
  const date = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(value) ? Date.parse(value) : now
  return Number.isNaN(date) ? 0 : Math.max(0, date - now)
}
