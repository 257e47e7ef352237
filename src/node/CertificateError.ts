import * as Data from "effect/Data"

/** A certificate and its key cannot be had, or do not make a pair. Neither of them is in it. */
export class CertificateError extends Data.TaggedError("CertificateError")<{
  /** Where they come from, as the paths of their files. */
  readonly source: string
  readonly cause: unknown
}> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `cannot use the certificate and the key of ${this.source}: ${why}. Give PEM of a certificate and of its own key.`
  }
}
