import type { Message } from "./inbox.js"
import * as CloseCode from "./protocol/CloseCode.js"
import * as Frame from "./protocol/Frame.js"
import * as utf8 from "./protocol/utf8.js"

/** What programs ask a connection to say, as it can be sent. */

/** What a close frame is asked to say; what cannot be sent is the programmer's fault and throws. */
export const closeFrame = ({ code = CloseCode.NormalClosure, reason = "" }: Partial<Frame.Close>): Frame.Close => {
  if (!CloseCode.isValid(code)) {
    throw new RangeError(`${code} cannot be sent as a close code: use 1000 or 3000 to 4999`)
  }
  if (Frame.fitReason(reason) !== reason) {
    throw new RangeError(`a close reason holds at most ${Frame.maxReason} bytes of UTF-8: shorten it`)
  }
  return { code, reason }
}

/** A message as the type that it is to be sent as; bytes that are no text are the programmer's fault and throw. */
export const convert = (message: Message, type: "text" | "binary"): Message => {
  if (type === "binary") return typeof message === "string" ? utf8.encode(message) : message
  if (typeof message === "string") return message
  const text = utf8.decode(message, 0, message.length)
  if (text === undefined)
    throw new TypeError("these bytes are not UTF-8 and cannot be sent as text: send them as binary")
  return text
}
