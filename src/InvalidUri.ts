import * as Data from "effect/Data"

/** What was given to connect to is not a WebSocket URI. RFC 6455 §3. */
export class InvalidUri extends Data.TaggedError("InvalidUri")<{
  /** As it was given, without user information. */
  readonly uri: string
  /** What is wrong, as the end of a sentence. */
  readonly problem: string
}> {
  override get message() {
    return `cannot connect to ${JSON.stringify(this.uri)}: ${this.problem}. Give a URI like ws://host:port/path.`
  }
}
