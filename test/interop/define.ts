import { Context, Effect, Layer } from "effect"
import { requires } from "../support/requirements.js"
import { sharing } from "../support/sharing.js"
import { type Peer, peers } from "./peers.js"
import { type Running, start } from "./support.js"
import { featuresOf } from "./table.js"

/** The tests of one file: one for each cell of the table that has a tick, with one process for each column. */

class Started extends Context.Tag("test/interop/Started")<Started, Running>() {}

const define = (peer: Peer): void =>
  requires(...peer.needs)(`${peer.name} as ${peer.role}`, () => {
    sharing(
      Layer.scoped(Started, start(peer.role, peer.launch)),
      "30 seconds"
    )((it) => {
      for (const feature of featuresOf(peer)) {
        it.scoped(feature.name, () => Started.pipe(Effect.flatMap(feature.test)))
      }
    })
  })

export const interop = (file: keyof typeof peers): void => peers[file].forEach(define)
