import type { Reason } from "../HandshakeError.js"
import { areTokens } from "../protocol/headers.js"
import type { Settings } from "../settings.js"
import type { ConnectOptions } from "../WebSocketClient.js"

/** What a browser's WebSocket cannot be asked for, so that nobody believes to have it. */

type Name = keyof ConnectOptions

const noHeaders =
  "cannot be sent, as a browser lets programs add nothing to its request: send a token as a cookie, in the URI's query or in the first message"
const noExtensions =
  "cannot be chosen, as browsers offer permessage-deflate by themselves and nothing else: leave it out"
const noPings = "cannot be kept, as a browser lets no program send pings: send messages of your own, and leave it out"
const unseen = "cannot be kept, as a browser shows messages only when they are whole: leave it out"

/** Numbers, whose infinity asks for nothing. */
const limits: { readonly [Limit in Name & keyof Settings]?: string } = {
  pingInterval: noPings,
  pingTimeout: noPings,
  messageTimeout: unseen,
  maxFrameSize: unseen,
  maxFragments: unseen,
  maxPingsPerSecond: "cannot be kept, as a browser answers pings by itself: leave it out",
  maxMessagesPerSecond: "cannot be kept: a browser's client has the layer's maxUnread instead",
  maxBytesPerSecond: "cannot be kept: a browser's client has the layer's maxUnread instead",
  receiveHighWaterMark: "cannot be kept, as nothing stops a browser reading: it has the layer's maxUnread instead"
}

const isNothing = (value: unknown): boolean =>
  value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0)

const others = (options: ConnectOptions): ReadonlyArray<readonly [option: Name, isAsked: boolean, problem: string]> => [
  ["headers", !isNothing(options.headers), noHeaders],
  ["origin", options.origin !== undefined, "cannot be chosen, as a browser says which page it is: leave it out"],
  ["userAgent", options.userAgent !== undefined, "cannot be chosen, as a browser says what it is: leave it out"],
  ["extensions", !isNothing(options.extensions), noExtensions],
  ["compression", options.compression !== undefined, noExtensions],
  [
    "maxRedirects",
    options.maxRedirects !== undefined && options.maxRedirects !== 0,
    "cannot be kept, as a browser follows no redirect to a WebSocket: connect to where it leads"
  ],
  [
    "subprotocols",
    !areTokens(options.subprotocols ?? []),
    "must be a list of different tokens, without blanks, commas or quotes"
  ]
]

/** The first option that asks for what a browser's WebSocket does not do; `settings` are the same in numbers. */
export const refusedOption = (options: ConnectOptions, settings: Settings): Reason | undefined => {
  for (const [option, isAsked, problem] of others(options)) {
    if (isAsked) return { _tag: "InvalidOption", option, problem }
  }
  for (const [name, problem] of Object.entries(limits)) {
    const option = name as keyof typeof limits
    if (options[option] !== undefined && Number.isFinite(settings[option])) {
      return { _tag: "InvalidOption", option, problem }
    }
  }
  return undefined
}
