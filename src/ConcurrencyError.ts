import * as Data from "effect/Data"

/**
 * A connection's messages were asked for while another fiber was already
 * waiting for them. Nothing is taken from that fiber.
 */
export class ConcurrencyError extends Data.TaggedError("ConcurrencyError") {
  override get message() {
    return "another fiber is already waiting for messages of this connection: receive in one fiber and share from there"
  }
}
