import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import { AskTimeout } from "./AskTimeout.js"
import { AskingReading } from "./askingReading.js"
import type { ConnectionClosed } from "./ConnectionClosed.js"
import type { Coding } from "./coding.js"
import type { EncodeError } from "./EncodeError.js"
import type { AskId, Asks } from "./Protocol.js"
import { type ReceiveError, TypeId as Untyped } from "./reading.js"
import type { AskOptions, SchemaConnection, Sender, Underlying } from "./SchemaConnection.js"
import { defaults as connectionDefaults, milliseconds, positive } from "./settings.js"
import { type Invalid, TypedReading, type TypedReadingParts } from "./typedReading.js"

export const TypeId: unique symbol = Symbol.for("effect-websockets/SchemaConnection")
export type TypeId = typeof TypeId

export const defaults = { invalid: "fail", askTimeout: "10 seconds", maxAsks: 1_024 } as const

export interface TypedConnectionParts<In, Out, E, R> {
  readonly raw: Underlying
  readonly incoming: Pick<Coding<In, R>, "decode">
  readonly sender: Sender<Out, R>
  readonly invalid: Invalid<E, R>
  readonly asks: Asks<string, string> | undefined
  readonly askTimeout: Duration.DurationInput | undefined
  readonly maxAsks: number | undefined
}

const fieldOf = (value: unknown, name: string): AskId | undefined => {
  const field: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
  return typeof field === "string" || typeof field === "number" || typeof field === "bigint" ? field : undefined
}

/** What asking needs. */
interface Asking<In, E, R> {
  readonly reading: AskingReading<In, E, R>
  readonly idOf: (request: unknown) => AskId | undefined
  readonly turns: Effect.Semaphore
  readonly timeout: Duration.Duration
  lastId: number
}

const makeAsking = <In, Out, E, R>(
  { answers, id }: Asks<string, string>,
  parts: TypedReadingParts<In, E, R>,
  { askTimeout, maxAsks, raw }: TypedConnectionParts<In, Out, E, R>
): Asking<In, E, R> => ({
  reading: new AskingReading({
    ...parts,
    answers: (value) => fieldOf(value, answers),
    closed: raw.closed,
    maxKept: connectionDefaults.receiveHighWaterMark
  }),
  idOf: (request) => fieldOf(request, id),
  turns: Effect.unsafeMakeSemaphore(positive("maxAsks", maxAsks ?? defaults.maxAsks)),
  timeout: Duration.millis(milliseconds("askTimeout", askTimeout ?? defaults.askTimeout)),
  lastId: 0
})

export class TypedConnection<In, Out, E, R, Request, Answer>
  implements SchemaConnection<Out, In, E, R, Request, Answer>
{
  readonly raw: Underlying
  readonly [TypeId]: TypedReading<In, E, R>
  readonly send: Sender<Out, R>["send"]
  readonly sendAll: Sender<Out, R>["sendAll"]
  private readonly asking: Asking<In, E, R> | undefined

  constructor(parts: TypedConnectionParts<In, Out, E, R>) {
    const { asks, incoming, invalid, raw, sender } = parts
    this.raw = raw
    this.send = sender.send
    this.sendAll = sender.sendAll
    const reading = { reading: raw[Untyped], coding: incoming, invalid }
    this.asking = asks === undefined ? undefined : makeAsking(asks, reading, parts)
    this[TypeId] = this.asking?.reading ?? new TypedReading(reading)
  }

  get receive(): Effect.Effect<In, ReceiveError | E, R> {
    return this[TypeId].receive
  }

  get messages(): Stream.Stream<In, ReceiveError | E, R> {
    return this[TypeId].messages
  }

  get ask() {
    return (
      request: Request | ((id: number) => Request),
      { timeout }: AskOptions = {}
    ): Effect.Effect<Answer, AskTimeout | EncodeError | ReceiveError | E, R> =>
      Effect.suspend(() => {
        const { asking } = this
        if (asking === undefined) {
          return Effect.die(new TypeError("the protocol does not say how answers find requests: give it `asks`"))
        }
        const duration = timeout === undefined ? asking.timeout : Duration.decode(timeout)
        return Effect.timeoutFail(asking.turns.withPermits(1)(this.say(asking, request)), {
          duration,
          onTimeout: () => new AskTimeout({ timeout: duration })
        })
      })
  }

  private say(
    asking: Asking<In, E, R>,
    request: Request | ((id: number) => Request)
  ): Effect.Effect<Answer, EncodeError | ConnectionClosed | ReceiveError | E, R> {
    return Effect.suspend(() => {
      const message = isMaker(request) ? request(++asking.lastId) : request
      const id = asking.idOf(message)
      if (id === undefined) return Effect.die(new TypeError("a request needs its identifier: a string or a number"))
      if (asking.reading.isPending(id)) {
        return Effect.die(new RangeError(`a request with the identifier ${id} waits already: use another one`))
      }
      // A request is what has an identifier of those that are sent, and its answer what was found by the field for it.
      const sending = this.send(message as Out & Request)
      return asking.reading.ask(id, sending) as Effect.Effect<In & Answer, EncodeError | ReceiveError | E, R>
    })
  }
}

const isMaker = <Request>(request: Request | ((id: number) => Request)): request is (id: number) => Request =>
  typeof request === "function"
