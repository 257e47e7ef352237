import { printable } from "../printable.js"
import type { Role } from "../protocol/Frame.js"
import type { RequestHead, ResponseHead } from "../protocol/Handshake.js"
import { hex, SHOWN } from "../trace.js"
import { type Frame, showWith } from "./Frame.js"
import { FrameReader } from "./frameReader.js"

/** What was put on a wire, both ways, one after the other, and when it arrived. */

interface Crossing {
  readonly from: Role
  /** Milliseconds of the Clock, when the last byte of it was written. */
  readonly sentAt: number
  /** The same for its arrival; undefined while it is on its way, and where it is lost. */
  readonly arrivedAt: number | undefined
}

/** The request of an opening handshake, or of a page. */
export interface RecordedRequest extends Crossing {
  readonly _tag: "Request"
  readonly request: RequestHead
}

export interface RecordedResponse extends Crossing {
  readonly _tag: "Response"
  readonly response: ResponseHead
}

export interface RecordedFrame extends Crossing {
  readonly _tag: "Frame"
  readonly frame: Frame
  /** Undefined where the frame is not masked. */
  readonly maskingKey: number | undefined
}

/** Bytes that are no whole frame, as the beginning of one. */
export interface RecordedBytes extends Crossing {
  readonly _tag: "Bytes"
  readonly bytes: Uint8Array
}

/** One side has ended its stream, or let go of the wire. */
export interface RecordedEnd extends Crossing {
  readonly _tag: "End"
}

/** The wire was cut by a fault. */
export interface RecordedCut {
  readonly _tag: "Cut"
  /** Milliseconds of the Clock. */
  readonly at: number
}

export type Recorded = RecordedRequest | RecordedResponse | RecordedFrame | RecordedBytes | RecordedEnd | RecordedCut

const arrows: Readonly<Record<Role, string>> = { client: "client → server", server: "server → client" }

const beginning = (bytes: Uint8Array): string =>
  hex(bytes.subarray(0, SHOWN / 3)) + (bytes.length > SHOWN / 3 ? " …" : "")

/** What is not as it has to be: a client masks its frames, a server does not. RFC 6455 §5.1. */
const maskRemark = ({ from, maskingKey }: RecordedFrame): string => {
  if (from === "client") return maskingKey === undefined ? ", unmasked" : ""
  return maskingKey === undefined ? "" : ", masked"
}

const content = (recorded: Exclude<Recorded, RecordedCut>): string => {
  switch (recorded._tag) {
    case "Request": {
      const { method, target, version } = recorded.request
      return printable(`${method} ${target} HTTP/${version}`)
    }
    case "Response":
      return `HTTP/${recorded.response.version ?? "1.1"} ${recorded.response.status}`
    case "Frame":
      return showWith(recorded.frame, maskRemark(recorded))
    case "Bytes":
      return `${beginning(recorded.bytes)} [${recorded.bytes.length} bytes, no whole frame]`
    case "End":
      return "end of stream"
  }
}

/** In a line, as `client → server  TEXT "World" [5 bytes]`; what is masked as it should be is not said. */
export const show = (recorded: Recorded): string =>
  recorded._tag === "Cut" ? "the wire was cut" : `${arrows[recorded.from]}  ${content(recorded)}`

type Mutable<A> = { -readonly [Name in keyof A]: A[Name] }

/** Where a direction has got to: what was written to it, and how much of that has arrived. */
class Progress {
  readonly chunks: Array<Uint8Array> = []
  readonly reader = new FrameReader()
  /** Bytes that were written, those of them that are in whole frames, and those that have arrived. */
  written = 0
  framed = 0
  arrived = 0
  /** When bytes were written last, and when some arrived. */
  writtenAt = 0
  arrivedAt = 0
  /** What was written, with the number of the byte behind each of it. */
  readonly parts: Array<{ readonly entry: Mutable<RecordedFrame | RecordedBytes>; readonly end: number }> = []
  /** The first of these that has not arrived. */
  next = 0
}

/** Keeps all of it, as long as somebody holds the wire. */
export class Recorder {
  private readonly entries: Array<Recorded> = []
  private readonly progress: Readonly<Record<Role, Progress>> = { client: new Progress(), server: new Progress() }
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  wrote(from: Role, bytes: Uint8Array): void {
    const progress = this.progress[from]
    const { chunks, parts, reader } = progress
    const sentAt = this.now()
    progress.written += bytes.length
    progress.writtenAt = sentAt
    chunks.push(bytes)
    reader.push(bytes)
    for (let read = reader.next(); read !== undefined; read = reader.next()) {
      const { frame, maskingKey, size } = read
      const entry: RecordedFrame = { _tag: "Frame", from, sentAt, arrivedAt: undefined, frame, maskingKey }
      progress.framed += size
      this.entries.push(entry)
      parts.push({ entry, end: progress.framed })
    }
  }

  /** So many more bytes have arrived at the other end; gives how many frames are whole there by them. */
  arrived(from: Role, bytes: number): number {
    const progress = this.progress[from]
    const { parts } = progress
    progress.arrived += bytes
    progress.arrivedAt = this.now()
    let count = 0
    // Not taken off the front: there may be a hundred thousand on their way.
    for (let part = parts[progress.next]; part !== undefined && part.end <= progress.arrived; ) {
      part.entry.arrivedAt = progress.arrivedAt
      if (part.entry._tag === "Frame") count++
      part = parts[++progress.next]
    }
    return count
  }

  /** How many bytes have to arrive for the next so many frames to be there; undefined while fewer are on their way. */
  untilFrames(from: Role, count: number): number | undefined {
    const { arrived, next, parts } = this.progress[from]
    const last = parts[next + count - 1]
    return last === undefined ? undefined : last.end - arrived
  }

  /** Something that is no bytes; what is returned is called when it arrives. */
  said(said: Said): () => void {
    if (said._tag === "End") this.giveUp(said.from)
    const entry: Mutable<Crossing> & Said = { ...said, sentAt: this.now(), arrivedAt: undefined }
    this.entries.push(entry)
    return () => {
      entry.arrivedAt = this.now()
    }
  }

  cut(): void {
    this.giveUp("client")
    this.giveUp("server")
    this.entries.push({ _tag: "Cut", at: this.now() })
  }

  written(from: Role): ReadonlyArray<Uint8Array> {
    return this.progress[from].chunks
  }

  /** All of it so far, and behind it what is no whole frame yet. */
  get all(): ReadonlyArray<Recorded> {
    const rests = [this.rest("client"), this.rest("server")].filter((rest) => rest !== undefined)
    return [...this.entries.map((entry) => ({ ...entry })), ...rests]
  }

  private rest(from: Role): RecordedBytes | undefined {
    const { arrived, arrivedAt, framed, reader, written, writtenAt } = this.progress[from]
    if (framed === written) return undefined
    return {
      _tag: "Bytes",
      from,
      sentAt: writtenAt,
      arrivedAt: arrived === written ? arrivedAt : undefined,
      bytes: reader.rest
    }
  }

  /** What is no whole frame will never be one. */
  private giveUp(from: Role): void {
    const entry = this.rest(from)
    if (entry === undefined) return
    const progress = this.progress[from]
    progress.framed = progress.written
    progress.reader.forget()
    this.entries.push(entry)
    if (entry.arrivedAt === undefined) progress.parts.push({ entry, end: progress.written })
  }
}

/** What is no bytes. */
export type Said =
  | Omit<RecordedRequest, "sentAt" | "arrivedAt">
  | Omit<RecordedResponse, "sentAt" | "arrivedAt">
  | Omit<RecordedEnd, "sentAt" | "arrivedAt">
