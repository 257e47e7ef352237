import type { Piece } from "./assembly.js"
import type * as Frame from "./Frame.js"

/** What is read, in the order of the wire. Called from inside `decode` and `proceed`; must neither throw nor decode. */
export interface Receiver {
  readonly message: (message: string | Uint8Array) => void
  /** A part of a message that was asked for in fragments; text is never cut inside a character. */
  readonly fragment: (fragment: Piece) => void
  readonly ping: (payload: Uint8Array) => void
  readonly pong: (payload: Uint8Array) => void
  /** The peer's close frame: the last thing that is read. */
  readonly close: (close: Frame.Close) => void
  /** An extension that has taken its time is done: `proceed` is to be called. Never from inside `decode`; needed where there are such extensions. */
  readonly decoded?: () => void
  /**
   * Whether it has enough for now. Asked behind each message that extensions have decoded, as a chunk of a few bytes
   * may be many large ones; what is left of the chunk is then kept until `proceed`.
   */
  readonly isFull?: () => boolean
}
