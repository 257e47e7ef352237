import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises"
import type { Case, Event, Step } from "./Case.js"
import type { Fuzzer, Observation } from "./Fuzzer.js"
import { isSame, matches } from "./judge.js"
import { encodeHead, mask, Opcode } from "./wire.js"

/** Plays a case on a connection that is open, and says what was seen. */

/** Between the parts of a slow message, in milliseconds: a testee fails in this time or not at all. */
const GAP = 1_000

class Player {
  private readonly test: Case
  private readonly fuzzer: Fuzzer
  private readonly patience: number
  private readonly isClient: boolean
  private isSent = false
  private wake: () => void = () => {}

  constructor(test: Case, fuzzer: Fuzzer, isClient: boolean, patience: number) {
    this.test = test
    this.fuzzer = fuzzer
    this.isClient = isClient
    this.patience = test.patience * patience
  }

  async play(): Promise<Observation> {
    const { fuzzer, test } = this
    const closesItself = test.steps.some(({ _tag }) => _tag === "Close")
    fuzzer.onChange = () => {
      this.wake()
      const isDone = !closesItself && test.ending.closedBy === "fuzzer"
      if (isDone && this.isSent && matches(test, test.expected, fuzzer.events)) fuzzer.close(1000)
    }
    for (const step of test.steps) {
      if (fuzzer.isOver) break
      await this.take(step)
    }
    this.isSent = true
    fuzzer.onChange()
    const timer = setTimeout(() => fuzzer.giveUp(), this.patience)
    await fuzzer.ended
    clearTimeout(timer)
    return fuzzer.observation()
  }

  private take(step: Step): Promise<void> {
    const { fuzzer } = this
    switch (step._tag) {
      case "Frames":
        return this.write(step.frames.map((frame) => fuzzer.encode(frame)))
      case "Pause":
        return sleep(step.milliseconds)
      case "Slowly":
        return this.slowly(step)
      case "RoundTrips":
        return this.roundTrips(step)
      case "Close": {
        const frame = fuzzer.encode({ opcode: Opcode.Close, payload: step.payload })
        fuzzer.beginClose()
        return this.write([frame])
      }
    }
  }

  private async write(frames: ReadonlyArray<Uint8Array>): Promise<void> {
    const { writing } = this.test
    if (writing === "together") {
      this.fuzzer.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))
      return
    }
    for (const frame of frames) {
      const size = writing === "framewise" ? Math.max(frame.length, 1) : writing.chops
      for (let at = 0; at < frame.length; at += size) {
        this.fuzzer.write(frame.subarray(at, at + size))
        await turn()
      }
    }
  }

  private async slowly({ parts, as }: Extract<Step, { _tag: "Slowly" }>): Promise<void> {
    const { fuzzer } = this
    const whole = Buffer.concat(parts)
    const { head, key } = encodeHead({ opcode: Opcode.Text, payload: whole }, this.isClient)
    let sent = 0
    for (const [i, part] of parts.entries()) {
      if (i > 0) await sleep(GAP)
      if (fuzzer.isOver) return
      fuzzer.partsSent = i + 1
      if (as === "frames") {
        const opcode = i === 0 ? Opcode.Text : Opcode.Continuation
        fuzzer.write(fuzzer.encode({ opcode, payload: part, fin: i === parts.length - 1 }))
      } else {
        const bytes = key === undefined ? part : mask(part, key, sent)
        fuzzer.write(i === 0 ? Buffer.concat([head, bytes]) : bytes)
      }
      sent += part.length
    }
  }

  private async roundTrips({ message, count, fragment }: Extract<Step, { _tag: "RoundTrips" }>): Promise<void> {
    const { fuzzer, test } = this
    const timer = setTimeout(() => fuzzer.giveUp(), this.patience)
    for (let n = 0; n < count && !fuzzer.isOver; n++) {
      const sent = message(n)
      fuzzer.send(sent, { row: message, n }, fragment)
      const echo = await this.nextMessage()
      if (echo === undefined) break
      if (!isSame(test, sent, echo)) fuzzer.fail(`an echo of message ${n} that is another`, 1002)
      else fuzzer.echoes++
    }
    clearTimeout(timer)
  }

  /** Nothing where the connection is over before. */
  private async nextMessage(): Promise<Event | undefined> {
    const { fuzzer } = this
    for (let came = fuzzer.take(); ; came = fuzzer.take()) {
      if (came !== undefined || fuzzer.isOver) return came
      await new Promise<void>((resolve) => {
        this.wake = resolve
      })
    }
  }
}

/** @param patience multiplies all the time that the testee has. */
export const interpret = (test: Case, fuzzer: Fuzzer, isClient: boolean, patience: number): Promise<Observation> =>
  new Player(test, fuzzer, isClient, patience).play()
