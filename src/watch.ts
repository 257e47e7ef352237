import * as CloseCode from "./protocol/CloseCode.js"
import * as Frame from "./protocol/Frame.js"
import * as Protocol from "./protocol/Protocol.js"

/** What time says about the peer of an open connection: whether it is there, and whether it ends what it begins. */

export interface Intervals {
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly messageTimeout: number
}

/** What is to be done now: nothing, a ping, or the end of the connection. */
export type Finding = "nothing" | "quiet" | "dead" | "unfinished"

const notHeard: Frame.Close = { code: CloseCode.InternalError, reason: "keepalive ping timeout" }

/** How a connection ends by what was found, if it does. */
export const endBy = (finding: Finding, messageTimeout: number): Protocol.Change | undefined => {
  switch (finding) {
    case "nothing":
    case "quiet":
      return undefined
    case "dead":
      return (state) => Protocol.abandon(state, notHeard)
    case "unfinished": {
      const reason = `a message was not complete within messageTimeout (${messageTimeout} ms)`
      return (state) => Protocol.fail(state, Frame.violation(CloseCode.PolicyViolation, reason))
    }
  }
}

const NEVER = Number.POSITIVE_INFINITY
const NONE = -1

export class Watch {
  private readonly intervals: Intervals
  private lastHeard: number
  /** A keepalive ping is out, and nothing has been heard since. */
  private awaitsPong = false
  private pingedAt = NONE
  /** Since when a message is arriving. */
  private partialSince = NONE

  constructor(intervals: Intervals, now: number) {
    this.intervals = intervals
    this.lastHeard = now
  }

  /** Bytes have come: any of them show that the peer is there. True when that was in doubt, and the next ping is due earlier. */
  heard(now: number): boolean {
    const wasInDoubt = this.awaitsPong
    this.lastHeard = now
    this.awaitsPong = false
    return wasInDoubt
  }

  /**
   * The bytes have been read: whether a message is incomplete now, and whether
   * one was completed by them. True when a deadline has begun.
   */
  read(isPartial: boolean, hasCompleted: boolean, now: number): boolean {
    if (!isPartial) this.partialSince = NONE
    else if (this.partialSince === NONE || hasCompleted) {
      this.partialSince = now
      return true
    }
    return false
  }

  /** We listen again: that the peer was not heard was our doing. */
  restart(now: number): void {
    this.lastHeard = now
    this.pingedAt = now
    if (this.partialSince !== NONE) this.partialSince = now
  }

  check(now: number): Finding {
    const { pingInterval, pingTimeout, messageTimeout } = this.intervals
    if (this.partialSince !== NONE && now >= this.partialSince + messageTimeout) return "unfinished"
    if (this.awaitsPong && now >= this.pingedAt + pingTimeout) return "dead"
    if (this.isJudged || now < this.quietSince + pingInterval) return "nothing"
    this.awaitsPong = true
    this.pingedAt = now
    return "quiet"
  }

  /** When to check next. */
  get dueAt(): number {
    const { pingInterval, pingTimeout, messageTimeout } = this.intervals
    const pings = this.isJudged ? this.pingedAt + pingTimeout : this.quietSince + pingInterval
    return this.partialSince === NONE ? pings : Math.min(pings, this.partialSince + messageTimeout)
  }

  /** Whether the next thing to happen is the answer, or the end. */
  private get isJudged(): boolean {
    return this.awaitsPong && this.intervals.pingTimeout !== NEVER
  }

  private get quietSince(): number {
    return this.awaitsPong ? this.pingedAt : this.lastHeard
  }
}
