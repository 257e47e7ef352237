/**
 * Consumes and produces on one connection at the same time.
 *
 * Whichever ends first interrupts the other: when the peer leaves the producer
 * may be asleep, when the producer fails nobody has to consume any more. Two
 * fibers, and none is left behind.
 */
import { Effect } from "effect"
import type { Connection } from "effect-websockets"
import { consumer } from "./consumer.js"
import { producer } from "./producer.js"

export const both =
  <E, R, E2, R2>(
    consume: (message: Connection.Message) => Effect.Effect<void, E, R>,
    produce: Effect.Effect<Connection.Message, E2, R2>
  ) =>
  (connection: Connection.Connection) =>
    Effect.raceFirst(consumer(consume)(connection), producer(produce)(connection))
