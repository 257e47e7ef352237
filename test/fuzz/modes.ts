import { compressing, connection } from "./connection.js"
import { decoder } from "./decoder.js"
import { deflate } from "./deflate.js"
import { differential } from "./differential.js"
import { handshake } from "./handshake.js"
import { headersMode } from "./headers.js"
import type { Mode } from "./mode.js"
import { negotiation } from "./negotiation.js"
import { wsDeflate } from "./wsDeflate.js"

/** All modes, in the order in which they are run. */
export const modes: ReadonlyArray<Mode> = [
  decoder,
  headersMode,
  handshake,
  connection,
  differential,
  deflate,
  negotiation,
  wsDeflate,
  compressing
]
