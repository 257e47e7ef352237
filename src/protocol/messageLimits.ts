import * as CloseCode from "./CloseCode.js"
import { type Violation, violation } from "./Frame.js"

/** How large what a peer sends may be. */

export interface Limits {
  /** Payload of a message in bytes, after extensions; 1 MiB unless told otherwise. Above it: 1009. */
  readonly maxMessageSize: number
  /** Payload of one frame in bytes; as the message unless told otherwise. Above it: 1009. */
  readonly maxFrameSize: number
  /** Frames of one message, empty ones included; 16,384 unless told otherwise. Above it: 1008. */
  readonly maxFragments: number
}

export const defaultLimits: Limits = { maxMessageSize: 1_048_576, maxFrameSize: 1_048_576, maxFragments: 16_384 }

/** The most bytes of which V8 makes a string; one byte more would throw. */
const longestText = 0x1fffffe8

const tooBig = (size: number, option: string, limit: number): Violation =>
  violation(CloseCode.MessageTooBig, `${size} bytes exceed ${option} (${limit} bytes)`)

/** What extensions may add to a payload that they cannot make smaller; what comes of it keeps to the limit. */
const encoded = (limit: number): number => limit + Math.floor(limit / 16) + 1_024

/** Whether a frame of this length may continue, or begin, a message of which so many bytes went before. */
export const checkSize = (
  { maxFrameSize, maxMessageSize }: Limits,
  before: number,
  length: number,
  isEncoded: boolean
): Violation | undefined => {
  // Where a frame may be as large as a message, as it may unless told otherwise, the message's limit is the one to know.
  if (maxFrameSize < maxMessageSize && length > (isEncoded ? encoded(maxFrameSize) : maxFrameSize)) {
    return tooBig(length, "maxFrameSize", maxFrameSize)
  }
  const size = before + length
  if (size > (isEncoded ? encoded(maxMessageSize) : maxMessageSize)) {
    return tooBig(size, "maxMessageSize", maxMessageSize)
  }
  return undefined
}

/** Whether a text of so many bytes can be a string. */
export const checkText = (length: number): Violation | undefined =>
  length > longestText ? tooBig(length, "the longest string of this runtime", longestText) : undefined
