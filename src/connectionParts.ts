import type { Deadlines } from "./deadlines.js"
import type { Codec } from "./protocol/Extension.js"
import type { Role } from "./protocol/Frame.js"
import type { MaskingKeys } from "./protocol/FrameEncoder.js"
import type { Settings } from "./settings.js"
import type { ByteStream } from "./Transport.js"

/** What a connection is made of. */
export interface Parts {
  readonly role: Role
  readonly stream: ByteStream
  readonly settings: Settings
  readonly codecs: ReadonlyArray<Codec>
  readonly maskingKeys: MaskingKeys
  /** Four unpredictable bytes for the payload of each ping of ours. */
  readonly pingPayloads: () => number
  readonly deadlines: Deadlines
  /** Hears how many milliseconds each of our pings took to be answered. */
  readonly onRoundTrip: (milliseconds: number) => void
}
