import type { Inbox, Message } from "./inbox.js"
import type { Piece } from "./protocol/assembly.js"
import type { FrameDecoder } from "./protocol/FrameDecoder.js"

/** A message that is received in parts as they come, and what is left of it when nobody wants the rest. */
export class Pieces {
  private readonly decoder: FrameDecoder
  private readonly inbox: Inbox<Message | Piece>
  private areWanted = false
  private areDropped = false

  constructor(decoder: FrameDecoder, inbox: Inbox<Message | Piece>) {
    this.decoder = decoder
    this.inbox = inbox
  }

  /** A part has come. */
  add(piece: Piece): void {
    if (!this.areDropped) {
      this.inbox.push(piece)
    } else if (piece.final) {
      this.areDropped = false
      // Asked for again meanwhile: what is meant is the next message.
      if (this.areWanted) this.decoder.receiveFragments()
    }
  }

  /** From the message that is arriving, or else the next one, parts are received as they come. */
  begin(): void {
    this.areWanted = true
    this.decoder.receiveFragments()
  }

  /** Goes back to whole messages; what is still to come of a message that was begun in parts is dropped. */
  end(): void {
    this.areWanted = false
    this.areDropped = !this.decoder.receiveWhole()
    this.inbox.dropWhile((item) => typeof item === "object" && "final" in item)
  }
}
