import { Buffer } from "node:buffer"
import * as NodeDeflate from "../../src/node/NodeDeflate.js"
import type { Codec } from "../../src/protocol/Extension.js"
import type { Role } from "../../src/protocol/Frame.js"
import { FrameDecoder, type Limits, type Options } from "../../src/protocol/FrameDecoder.js"
import * as PerMessageDeflate from "../../src/protocol/PerMessageDeflate.js"
import { compressedStream, isWhole, optionsOf } from "./compressed.js"
import { type Mode, roleOf, usage } from "./mode.js"
import { Random } from "./random.js"
import { chunks } from "./streams.js"

/**
 * Compressed messages in the decoder: however they are damaged and cut, both
 * ways to inflate say the same, keep to the limits and come to an end.
 */

const limits: ReadonlyArray<Limits> = [
  { maxMessageSize: 1_048_576, maxFrameSize: 1_048_576, maxFragments: 1000 },
  { maxMessageSize: 131_072, maxFrameSize: 131_072, maxFragments: 1000 },
  { maxMessageSize: 1000, maxFrameSize: 600, maxFragments: 8 },
  { maxMessageSize: 300, maxFrameSize: 300, maxFragments: 3 }
]
export const limitsOf = (random: Random): Limits => random.pick([limits[0]!, limits[0]!, ...limits])

/** The codec of one end, as the handshake makes it. */
export const codecOf = (service: PerMessageDeflate.Service, role: Role, seed: number): Codec => {
  const extension = PerMessageDeflate.make(service, optionsOf(seed))
  const answer = extension.answer(extension.offers[0]!)
  const codec = role === "server" ? answer?.codec : answer && extension.accept(answer.parameters)
  if (codec === undefined) throw new Error("the same options do not agree")
  return codec
}

/** Real time after which a message hangs, in milliseconds. */
const PATIENCE = 5000

/** A promise with its ends outside; it rejects when nothing comes. */
class Wait {
  private wake: (() => void) | undefined
  private isDone = false

  done(): void {
    this.isDone = true
    this.wake?.()
  }

  get promise(): Promise<void> {
    if (this.isDone) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("a message is never inflated")), PATIENCE)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

export interface Read {
  readonly events: ReadonlyArray<string>
  readonly code: number | undefined
  readonly reason: string
}

export interface Reading {
  readonly Decoder?: typeof FrameDecoder
  readonly role: Role
  readonly limits: Limits
  readonly codec: Codec
  /** Whether a chunk also comes while a message is inflated, as the rest of what was under way does. */
  readonly overtakes?: (() => boolean) | undefined
}

const hex = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString("hex")

/** Reads chunks to the end, and waits where an extension takes its time. What breaks a rule of the decoder's is thrown. */
export const readAll = async (pieces: ReadonlyArray<Uint8Array>, reading: Reading): Promise<Read> => {
  const { Decoder = FrameDecoder, role, limits, codec, overtakes = () => false } = reading
  const events: Array<string> = []
  let wait = new Wait()
  let isInside = false
  const message = (data: string | Uint8Array) => {
    if (Buffer.byteLength(data) > limits.maxMessageSize) throw new Error("a message is larger than it may be")
    events.push(`${typeof data === "string" ? "text" : "binary"} ${hex(data)}`)
  }
  const parts: Options = {
    role,
    codecs: [codec],
    receiver: {
      message,
      fragment: () => {},
      ping: (payload) => events.push(`ping ${hex(payload)}`),
      pong: (payload) => events.push(`pong ${hex(payload)}`),
      close: ({ code, reason }) => events.push(`close ${code} ${hex(reason)}`),
      decoded: () => {
        if (isInside) throw new Error("a result comes while the message is handed in")
        wait.done()
      }
    }
  }
  const decoder = new Decoder(parts, limits)
  let found: ReturnType<FrameDecoder["decode"]>
  /** One call, and what it must not do once all is over. */
  const enter = (call: () => ReturnType<FrameDecoder["decode"]>) => {
    const before = events.length
    const isOver = found !== undefined || events.at(-1)?.startsWith("close") === true
    isInside = true
    const violation = call()
    isInside = false
    if (isOver && (violation !== undefined || events.length > before))
      throw new Error("something is read after the end")
    found ??= violation
  }
  const settle = async () => {
    while (decoder.isSuspended) {
      await wait.promise
      wait = new Wait()
      enter(() => decoder.proceed())
    }
  }
  for (const piece of pieces) {
    enter(() => decoder.decode(piece))
    piece.fill(0xee)
    if (!overtakes()) await settle()
  }
  await settle()
  codec.end?.()
  return { events, code: found?.code, reason: found?.reason ?? "" }
}

export const sameRead = (one: Read, other: Read): boolean =>
  one.code === other.code &&
  one.reason === other.reason &&
  one.events.length === other.events.length &&
  one.events.every((event, i) => event === other.events[i])

/** A service whose inflaters are seen to exceed the limit that they are given. */
const measured = (service: PerMessageDeflate.Service, onExcess: () => void): PerMessageDeflate.Service => ({
  deflater: service.deflater,
  inflater: (options) => {
    const inflater = service.inflater(options)
    const check = (result: Uint8Array | PerMessageDeflate.Fault, limit: number) => {
      if (typeof result !== "string" && result.length > limit) onExcess()
      return result
    }
    return {
      inflate: (data, limit) => {
        const result = inflater.inflate(data, limit)
        if (typeof result !== "function") return check(result, limit)
        return (done) => result((later) => done(check(later, limit)))
      },
      end: () => inflater.end()
    }
  }
})

const MALFORMED = "compressed message that is no deflate data"

/** Where the two may differ, on data that no compressor makes. */
export const allowed: ReadonlyArray<{
  readonly name: string
  readonly reason: string
  readonly holds: (service: Read, portable: Read) => boolean
}> = [
  {
    name: "too large and malformed",
    reason: "which of the two is seen first depends on how much is inflated at once",
    holds: (service, portable) =>
      [service.code, portable.code].sort().join() === "1007,1009" && service.events.join() === portable.events.join()
  },
  {
    name: "cut inside the last byte of the flush",
    reason:
      "a block that ends there is whole to zlib; only more data behind it show that bits are left, and a context that goes on cannot be given more",
    holds: (service, portable) =>
      portable.reason === MALFORMED &&
      portable.events.length <= service.events.length &&
      portable.events.every((event, i) => event === service.events[i])
  },
  {
    name: "cut short by as much as is appended",
    reason:
      "a last block that lacks just the nine bytes that documented calls append takes them for its own, and ends where they end",
    holds: (service, portable) =>
      service.reason === MALFORMED && service.events.every((event, i) => event === portable.events[i])
  }
]

export interface Services {
  readonly service: PerMessageDeflate.Service
  readonly portable: PerMessageDeflate.Service
}

/** The mode; other compressors can be put in the places of ours, to see that their faults are found. */
export const deflateMode = ({ service, portable }: Services = NodeDeflate): Mode => ({
  name: "deflate",
  generate: compressedStream,
  check: async (input, seed) => {
    const random = new Random(usage(seed))
    const role = roleOf(seed)
    const limits = limitsOf(random)
    let exceeds = false
    const onExcess = () => {
      exceeds = true
    }
    const read = (by: PerMessageDeflate.Service, pieces: ReadonlyArray<Uint8Array>, overtakes?: () => boolean) =>
      readAll(pieces, { role, limits, codec: codecOf(measured(by, onExcess), role, seed), overtakes })
    const whole = await read(service, [input.slice()])
    const cut = await read(service, chunks(random, input), () => random.oneIn(3))
    if (!sameRead(whole, cut)) return "what is read depends on how the bytes are cut"
    const other = await read(portable, chunks(random, input))
    if (exceeds) return "more is inflated than was allowed"
    if (isWhole(seed) && whole.reason === MALFORMED) return "data without fault are refused"
    if (sameRead(whole, other)) return undefined
    if (!isWhole(seed) && allowed.some(({ holds }) => holds(whole, other))) return undefined
    if (whole.code !== other.code) return `service says ${whole.code ?? "nothing"}, portable ${other.code ?? "nothing"}`
    return "service and portable read different messages"
  }
})

export const deflate: Mode = deflateMode()
