import * as Data from "effect/Data"

/** A server could not listen; `code` is the system's word, as `EADDRINUSE`. */
export class ListenError extends Data.TaggedError("ListenError")<{
  /** Where: host and port, a path, or a file descriptor. */
  readonly address: string
  readonly code: string | undefined
  readonly cause: unknown
}> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot listen on ${this.address}: ${why}${advice(this.code)}`
  }
}

const advice = (code: string | undefined): string => {
  switch (code) {
    case "EADDRINUSE":
      return ". Another program uses it: stop that one, or choose another port."
    case "EACCES":
      return ". It needs more rights: choose a port above 1023."
    default:
      return ""
  }
}
