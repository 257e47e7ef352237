import type { Outbox } from "./outbox.js"
import * as Frame from "./protocol/Frame.js"
import type { Output } from "./protocol/Protocol.js"
import type { ByteStream } from "./Transport.js"

/** Does to the peer's side what a step of the closing handshake calls for. RFC 6455 §7. */
export const perform = (output: Output, outbox: Outbox, stream: ByteStream): void => {
  switch (output._tag) {
    case "Close": {
      const { code, reason } = output.close
      outbox.control(Frame.Opcode.Close, Frame.closePayload({ code, reason: Frame.fitReason(reason) }))
      outbox.giveLast()
      return
    }
    case "EndOfStream":
      stream.end()
      return
    case "Destroy":
      stream.destroy()
      return
  }
}
