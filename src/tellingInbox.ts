import { Inbox, type Message, type Supplier } from "./inbox.js"

/** An inbox that tells how many messages are taken out: those the peer need not keep any more. */
export class TellingInbox extends Inbox {
  private readonly onTaken: (count: number) => void

  constructor(supplier: Supplier, highWaterMark: number, onTaken: (count: number) => void) {
    super(supplier, highWaterMark)
    this.onTaken = onTaken
  }

  override take(): Message {
    const message = super.take()
    this.onTaken(1)
    return message
  }

  override takeAll() {
    const messages = super.takeAll()
    this.onTaken(messages.length)
    return messages
  }
}
