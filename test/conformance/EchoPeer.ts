import { Buffer } from "node:buffer"
import { createServer, type Socket } from "node:net"
import { fragments } from "./Case.js"
import { Deflate } from "./Deflate.js"
import type { Agreement, Answer } from "./extensions.js"
import { requested } from "./handshake.js"
import type { ServerTarget } from "./targets.js"
import { encode, type Frame, FrameReader, type FrameSpec, Opcode, RSV1 } from "./wire.js"

/** A small echo server that can be told to get one thing wrong: what the harness has to notice. */

export interface Faults {
  readonly ignoresUtf8: boolean
  readonly ignoresReservedBits: boolean
  readonly ignoresReservedOpcodes: boolean
  readonly ignoresStrayContinuations: boolean
  readonly ignoresControlFrameRules: boolean
  readonly ignoresCloseCodes: boolean
  /** Every violation becomes this code. */
  readonly closesWith: number | undefined
  readonly sendsNoPong: boolean
  /** Its echoes lack their last octet. */
  readonly truncates: boolean
  readonly echoesAsBinary: boolean
  readonly masksItsFrames: boolean
  /** Drops TCP where a close frame has to be answered. */
  readonly answersNoClose: boolean
  /** Leaves TCP open behind the closing handshake. */
  readonly keepsTcp: boolean
  /** Goes on as if there had been no close frame. */
  readonly readsBehindClose: boolean
  /** Says this of extensions, whatever was offered. */
  readonly answers: string
  readonly declinesExtensions: boolean
  /** Whether it takes its context over, whatever it said. */
  readonly takesContextOver: boolean
  /** Reaches further back than it said that it would. */
  readonly ignoresWindow: boolean
  /** Sends in fragments, every one of which says that it begins something compressed. */
  readonly marksContinuations: boolean
  /** Does not say what is compressed. */
  readonly hidesCompression: boolean
  /** One of its compressed octets is another. */
  readonly spoilsCompression: boolean
}

const isText = (payload: Uint8Array): boolean => Buffer.from(Buffer.from(payload).toString("utf8")).equals(payload)

const isCode = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)

class Peer {
  private readonly socket: Socket
  private readonly faults: Partial<Faults>
  private readonly deflate: Deflate | undefined
  private readonly reader = new FrameReader()
  private message:
    | { readonly opcode: number; readonly isCompressed: boolean; readonly parts: Array<Uint8Array> }
    | undefined
  private ended: "answered" | "failed" | undefined

  constructor(socket: Socket, faults: Partial<Faults>, early: Uint8Array, agreement: Agreement | undefined) {
    this.socket = socket
    this.faults = faults
    if (agreement !== undefined) {
      const { own, peer } = agreement
      const { ignoresWindow = false, takesContextOver = !own.noContextTakeover } = faults
      const windowBits = ignoresWindow ? 15 : own.windowBits
      this.deflate = new Deflate({ own: { noContextTakeover: !takesContextOver, windowBits }, peer })
    }
    this.read(early)
    socket.on("data", (chunk) => this.read(chunk))
    socket.resume()
  }

  private read(chunk: Uint8Array): void {
    this.reader.push(chunk)
    for (let frame = this.reader.next(); frame !== undefined; frame = this.reader.next()) {
      if (this.ended === "failed" || (this.ended === "answered" && this.faults.readsBehindClose !== true)) return
      const code = this.receive(frame)
      if (code !== undefined) this.close("failed", this.faults.closesWith ?? code)
    }
  }

  private write(...frames: ReadonlyArray<FrameSpec>): void {
    const isClient = this.faults.masksItsFrames === true
    if (this.socket.writable) this.socket.write(Buffer.concat(frames.map((frame) => encode(frame, isClient))))
  }

  private send(opcode: number, payload: Uint8Array): void {
    this.write({ opcode, payload })
  }

  private sendMessage(opcode: number, message: Uint8Array): void {
    const { deflate, faults } = this
    if (deflate === undefined) {
      this.send(opcode, message)
      return
    }
    const payload = Buffer.from(deflate.compress(message))
    if (faults.spoilsCompression === true) payload[0]! ^= 6
    const frame = { opcode, payload, rsv: faults.hidesCompression === true ? 0 : RSV1 }
    if (faults.marksContinuations !== true) this.write(frame)
    else this.write(...fragments(frame, 1 + (payload.length >> 1)).map((part) => ({ ...part, rsv: RSV1 })))
  }

  private close(how: "answered" | "failed", code: number | undefined): void {
    if (this.faults.answersNoClose === true) {
      this.socket.destroy()
      return
    }
    this.ended = how
    this.send(Opcode.Close, code === undefined ? new Uint8Array(0) : Uint8Array.of(code >> 8, code & 255))
    if (this.faults.keepsTcp === true) return
    if (how === "answered" && this.faults.readsBehindClose === true) setTimeout(() => this.socket.end(), 100)
    else this.socket.end()
  }

  /** Gives the close code of what is wrong with the frame. */
  private receive({ fin, opcode, payload, rsv }: Frame): number | undefined {
    const { faults } = this
    const isCompressed = rsv === RSV1 && this.deflate !== undefined && (opcode === 1 || opcode === 2)
    if (rsv !== 0 && !isCompressed && faults.ignoresReservedBits !== true) return 1002
    if (opcode >= 8 && (!fin || payload.length > 125) && faults.ignoresControlFrameRules !== true) return 1002
    switch (opcode) {
      case Opcode.Continuation:
      case Opcode.Text:
      case Opcode.Binary:
        return this.receiveData(opcode, fin, payload, isCompressed)
      case Opcode.Close:
        return this.receiveClose(payload)
      case Opcode.Ping:
        if (faults.sendsNoPong !== true) this.send(Opcode.Pong, payload)
        return undefined
      case Opcode.Pong:
        return undefined
      default:
        return faults.ignoresReservedOpcodes === true ? undefined : 1002
    }
  }

  private receiveData(opcode: number, fin: boolean, payload: Uint8Array, isCompressed: boolean): number | undefined {
    const { faults } = this
    if (opcode === Opcode.Continuation && this.message === undefined) {
      return faults.ignoresStrayContinuations === true ? undefined : 1002
    }
    if (opcode !== Opcode.Continuation && this.message !== undefined) return 1002
    this.message ??= { opcode, isCompressed, parts: [] }
    this.message.parts.push(payload)
    if (!fin) return undefined
    const data = Buffer.concat(this.message.parts)
    const kind = this.message.opcode
    const whole = this.message.isCompressed ? this.decompress(data) : data
    this.message = undefined
    if (whole === undefined) return 1007
    if (kind === Opcode.Text && faults.ignoresUtf8 !== true && !isText(whole)) return 1007
    this.sendMessage(
      faults.echoesAsBinary === true ? Opcode.Binary : kind,
      faults.truncates === true ? whole.subarray(0, -1) : whole
    )
    return undefined
  }

  /** Nothing where the data are bad. */
  private decompress(data: Uint8Array): Uint8Array | undefined {
    try {
      return this.deflate?.decompress(data)
    } catch {
      return undefined
    }
  }

  private receiveClose(payload: Uint8Array): number | undefined {
    const { faults } = this
    if (payload.length === 1) return 1002
    const code = payload.length === 0 ? undefined : Buffer.from(payload).readUInt16BE(0)
    if (code !== undefined && !isCode(code) && faults.ignoresCloseCodes !== true) return 1002
    if (faults.ignoresUtf8 !== true && !isText(payload.subarray(2))) return 1007
    this.close("answered", code)
    return undefined
  }
}

/** It grants what it is asked, and asks nothing. */
const answering = (faults: Partial<Faults>, answer: (demands: readonly [object]) => Answer | undefined) => {
  const answered = faults.declinesExtensions === true ? undefined : answer([{}])
  return faults.answers === undefined ? answered : { header: faults.answers, agreement: answered?.agreement }
}

export const startEchoPeer = async (faults: Partial<Faults> = {}): Promise<ServerTarget> => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.setNoDelay(true).on("error", () => {}))
    socket.on("close", () => sockets.delete(socket))
    requested(socket, 10_000).then(
      ({ accept, answer, rest }) => {
        const answered = answering(faults, answer)
        accept(answered?.header)
        new Peer(socket, faults, rest, answered?.agreement)
      },
      () => socket.destroy()
    )
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    stop: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    }
  }
}
