/** Asks a person on the terminal. */
import { createInterface } from "node:readline"
import { Data, Effect } from "effect"

export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly question: string }> {
  override get message() {
    return `nobody answered «${this.question.trim()}»`
  }
}

/** The line that is typed; the end of the input, Ctrl-D, is no answer. */
export const ask = (question: string) =>
  Effect.async<string, NoAnswer>((resume) => {
    const terminal = createInterface({ input: process.stdin, output: process.stdout })
    terminal.question(question, (answer) => {
      resume(Effect.succeed(answer))
      terminal.close()
    })
    terminal.once("close", () => resume(Effect.fail(new NoAnswer({ question }))))
    return Effect.sync(() => terminal.close())
  })
