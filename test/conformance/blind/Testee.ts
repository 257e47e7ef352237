import type { Connection, Deflate } from "effect-websockets"

/** A testee that each scenario can have to its own taste: limits, deadlines, and what it does with a connection. */

/** What a testee does when a connection is open. */
export type Doing =
  /** Echoes every message with its type, from when `after` settles on; until then it takes none. */
  | { readonly _tag: "Echo"; readonly after?: Promise<void> }
  /** Sends so many binary messages, each of so many octets that are all its number modulo 256, then waits for the end. */
  | { readonly _tag: "Send"; readonly count: number; readonly size: number }
  /** Starts the closing handshake when it has taken a message, or at once. */
  | { readonly _tag: "Close"; readonly code: number; readonly reason?: string; readonly when: "at once" | "asked" }

/** What a testee is told for one scenario; what is left out stays as it comes. */
export interface Task extends Connection.ConnectionOptions {
  /** To echo unless told otherwise. */
  readonly does?: Doing
  /** In milliseconds. */
  readonly openTimeout?: number
  readonly subprotocols?: ReadonlyArray<string>
  /** permessage-deflate, off unless told otherwise. */
  readonly compression?: Deflate.Compression
  /** A server's program that looks at requests, and fails with something that is no answer. */
  readonly hookFails?: boolean
}

/** How a testee saw a connection end. */
export interface Ending {
  readonly isClean: boolean
  /** That of the peer's close frame, or 1006. */
  readonly code: number
  readonly sent: number | undefined
  readonly received: number | undefined
  /** What went wrong, in the testee's words. */
  readonly cause: string | undefined
}

/** What a testee tells of its connections while it runs. */
export class Report {
  opened = 0
  /** Messages that its program has taken. */
  taken = 0
  /** Messages whose sending is over for its program. */
  sent = 0
  /** Octets that wait to be sent. */
  buffered: () => number = () => 0
  private readonly endings: Array<Ending> = []
  private readonly waiting: Array<(ending: Ending) => void> = []

  get live(): number {
    return this.opened - this.endings.length
  }

  end(ending: Ending): void {
    this.endings.push(ending)
    for (const settle of this.waiting.splice(0)) settle(this.endings[0]!)
  }

  /** How the first of its connections ended. */
  get ending(): Promise<Ending> {
    return new Promise((settle) => {
      if (this.endings.length > 0) settle(this.endings[0]!)
      else this.waiting.push(settle)
    })
  }
}

/** What came of a client's attempt to open a connection. */
export type Opening =
  | { readonly _tag: "Opened" }
  /** `error` and `reason` are the tags of both; `status` and `body` those of a refusal. */
  | {
      readonly _tag: "Failed"
      readonly error: string
      readonly reason: string | undefined
      readonly header: string | undefined
      readonly status: number | undefined
      readonly body: Uint8Array | undefined
      readonly sentence: string
    }

export interface TesteeServer {
  readonly port: number
  readonly report: Report
  /** Stops as its program would; settles when nothing is left of it. */
  readonly stop: () => Promise<void>
}

export interface TesteeClient {
  readonly opening: Promise<Opening>
  readonly report: Report
  readonly stop: () => Promise<void>
}

export interface Testee {
  /** The module that exports it, and as what: for scenarios that give it a process of its own. */
  readonly home?: { readonly url: string; readonly name: string }
  readonly serve: (task: Task) => Promise<TesteeServer>
  readonly dial: (url: string, task: Task) => TesteeClient
}

/** What a message that a testee sends of its own consists of. */
export const numbered = (number: number, size: number): Uint8Array => new Uint8Array(size).fill(number)
