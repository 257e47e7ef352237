import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Connection, Resume } from "effect-websockets"

/** What both ends of a session do in the tests that break its connections. */

/** The message of a number: text or binary, and of different lengths. */
const numbered = (n: number): Connection.Message => {
  const text = `${n} ${"x".repeat(n % 40)}`
  return n % 3 === 0 ? new TextEncoder().encode(text) : text
}

/** Sends so many messages while it receives as many, each of which has to be the next one. */
export const exchange = (
  connection: Resume.ResumableConnection,
  count: number,
  onReceived: (n: number) => void = () => {}
) => {
  const numbers = Array.from({ length: count }, (_, n) => n)
  const send = Effect.forEach(numbers, (n) => connection.send(numbered(n)), { discard: true })
  const receive = Effect.forEach(
    numbers,
    (n) =>
      Effect.map(connection.receive, (message) => {
        assert.deepStrictEqual(message, numbered(n))
        onReceived(n)
      }),
    { discard: true }
  )
  return Effect.all([send, receive], { concurrency: 2, discard: true })
}
