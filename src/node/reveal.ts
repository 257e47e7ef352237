import * as Redacted from "effect/Redacted"

/** A secret as node takes it. */
export const reveal = <A>(secret: A | Redacted.Redacted<A>): A =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
