import * as Data from "effect/Data"

/** A text message came where bytes were asked for, or the other way round. It has been taken. */
export class UnexpectedMessageType extends Data.TaggedError("UnexpectedMessageType")<{
  readonly expected: "text" | "binary"
  readonly received: string | Uint8Array
}> {
  override get message() {
    const found = typeof this.received === "string" ? "text" : "binary"
    return `expected a ${this.expected} message, got a ${found} one of ${this.received.length} ${found === "text" ? "characters" : "bytes"}`
  }
}
