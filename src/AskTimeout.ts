import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

/** No answer has come in time. One that comes later is a message like any other. */
export class AskTimeout extends Data.TaggedError("AskTimeout")<{
  readonly timeout: Duration.Duration
}> {
  override get message() {
    return `the peer has not answered within ${Duration.format(this.timeout)}: ask again, or give it more time with \`timeout\``
  }
}
