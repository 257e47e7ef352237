import * as Duration from "effect/Duration"
import type { Rates } from "./meter.js"
import { defaultLimits, type Limits } from "./protocol/FrameDecoder.js"
import type { Intervals } from "./watch.js"

/** A connection's settings, the same for both ends. Durations may be `Duration.infinity`, sizes and counts `Infinity`. */
export interface ConnectionOptions {
  /** How long the whole closing handshake may take before the transport is cut: 10 seconds. RFC 6455 §7.1.1. */
  readonly closeTimeout?: Duration.DurationInput | undefined
  /** After so long without a byte from the peer it gets a ping: 20 seconds. RFC 6455 §5.5.2. */
  readonly pingInterval?: Duration.DurationInput | undefined
  /** So long the peer has to be heard again after a ping, or the connection ends with 1011: 20 seconds. */
  readonly pingTimeout?: Duration.DurationInput | undefined
  /** So long a message that has begun may take to be complete, or the connection ends with 1008: 60 seconds. */
  readonly messageTimeout?: Duration.DurationInput | undefined
  /** Bytes of a received message, or the connection ends with 1009: 1,048,576. */
  readonly maxMessageSize?: number | undefined
  /** Bytes of a received frame, or the connection ends with 1009: as `maxMessageSize`. */
  readonly maxFrameSize?: number | undefined
  /** Frames of a received message, empty ones included, or the connection ends with 1008: 16,384. */
  readonly maxFragments?: number | undefined
  /** Pings that are answered within a second; with more the connection ends with 1008: 100. */
  readonly maxPingsPerSecond?: number | undefined
  /** Messages of the peer's within a second; with more the connection ends with 1008: no limit. */
  readonly maxMessagesPerSecond?: number | undefined
  /** Bytes that come from the peer within a second, whatever they are; with more the connection ends with 1008: no limit. */
  readonly maxBytesPerSecond?: number | undefined
  /** Bytes of messages that may wait to be taken before reading stops, 64 charged for each beside its content: 262,144. */
  readonly receiveHighWaterMark?: number | undefined
  /** Bytes that may wait to be sent before `send` waits too: 262,144. */
  readonly sendHighWaterMark?: number | undefined
}

export const defaults = {
  closeTimeout: "10 seconds",
  pingInterval: "20 seconds",
  pingTimeout: "20 seconds",
  messageTimeout: "60 seconds",
  maxPingsPerSecond: 100,
  maxMessagesPerSecond: Number.POSITIVE_INFINITY,
  maxBytesPerSecond: Number.POSITIVE_INFINITY,
  receiveHighWaterMark: 262_144,
  sendHighWaterMark: 262_144
} as const

/** A connection's settings as numbers: milliseconds, bytes, counts; Infinity turns a deadline off. */
export interface Settings extends Limits, Intervals, Rates {
  readonly closeTimeout: number
  readonly maxPingsPerSecond: number
  readonly receiveHighWaterMark: number
  readonly sendHighWaterMark: number
}

/** The milliseconds of an option that is a duration; what is none is the programmer's fault and throws. */
export const milliseconds = (name: string, input: Duration.DurationInput): number => {
  const duration = Duration.decodeUnknown(input)
  const isNegative = typeof input === "number" && !(input >= 0)
  if (duration._tag === "None" || isNegative) {
    throw new RangeError(`${name} is ${String(input)}: give a duration as "10 seconds"`)
  }
  return Duration.toMillis(duration.value)
}

/** An option that is a size or a count; what is none is the programmer's fault and throws. */
export const positive = (name: string, value: number): number => {
  if (!(value > 0)) throw new RangeError(`${name} is ${value}: give a number above 0, or Infinity for no limit`)
  return value
}

/** A count that may be none; what is none of either is the programmer's fault and throws. */
export const atLeastZero = (name: string, value: number): number => {
  if (!(value >= 0)) throw new RangeError(`${name} is ${value}: give 0 or a number above it`)
  return value
}

export const resolve = (options: ConnectionOptions): Settings => {
  const duration = (name: "closeTimeout" | "pingInterval" | "pingTimeout" | "messageTimeout") =>
    milliseconds(name, options[name] ?? defaults[name])
  // An interval of no time is due again as soon as it has passed, and no peer answers in no time.
  const interval = (name: "pingInterval" | "pingTimeout" | "messageTimeout") => {
    const value = duration(name)
    if (value > 0) return value
    throw new RangeError(`${name} is ${value} ms: give a duration above 0, or Duration.infinity to turn it off`)
  }
  const count = (name: Exclude<keyof typeof defaults, `${string}Timeout` | "pingInterval">) =>
    positive(name, options[name] ?? defaults[name])
  const maxMessageSize = positive("maxMessageSize", options.maxMessageSize ?? defaultLimits.maxMessageSize)
  return {
    closeTimeout: duration("closeTimeout"),
    pingInterval: interval("pingInterval"),
    pingTimeout: interval("pingTimeout"),
    messageTimeout: interval("messageTimeout"),
    maxMessageSize,
    maxFrameSize: positive("maxFrameSize", options.maxFrameSize ?? maxMessageSize),
    maxFragments: positive("maxFragments", options.maxFragments ?? defaultLimits.maxFragments),
    maxPingsPerSecond: count("maxPingsPerSecond"),
    maxMessagesPerSecond: count("maxMessagesPerSecond"),
    maxBytesPerSecond: count("maxBytesPerSecond"),
    receiveHighWaterMark: count("receiveHighWaterMark"),
    sendHighWaterMark: count("sendHighWaterMark")
  }
}
