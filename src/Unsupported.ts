import * as Data from "effect/Data"

/** What carries the connection cannot do that; its `capabilities` say so beforehand. */
export class Unsupported extends Data.TaggedError("Unsupported")<{
  /** What was asked for, as `ping`. */
  readonly operation: string
  /** Why not, and what to do instead, as the end of a sentence. */
  readonly problem: string
}> {
  override get message() {
    return `${this.operation} is not possible here: ${this.problem}`
  }
}
