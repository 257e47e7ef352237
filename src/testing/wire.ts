import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { joinedBytes } from "../joinedBytes.js"
import type { Role } from "../protocol/Frame.js"
import type { Address } from "../Transport.js"
import { TransportError } from "../TransportError.js"
import { End } from "./end.js"
import type { Frame } from "./Frame.js"
import { type DirectionFaults, Lane } from "./lane.js"
import { type Recorded, Recorder, show } from "./recording.js"

/**
 * Two streams of bytes that are each other's ends, without a network: what one
 * writes the other reads, in order, a microtask later, unless a fault is set.
 */

/** What is wrong with a wire: in both directions, or in one of them. */
export interface Faults extends DirectionFaults {
  /** Beside what holds for both directions, and instead of it where it is the same fault. */
  readonly toServer: Partial<DirectionFaults>
  readonly toClient: Partial<DirectionFaults>
  /** Called when as many bytes have arrived as `splitAt` or `cutAfterBytes` says. */
  readonly onReached: () => void
}

/** What can be done to one direction of a wire, or to both. Nothing of it changes the order of what arrives. */
export interface Direction {
  /** From now on nothing arrives, until it flows again: as from or to a peer that is there and does nothing. */
  readonly stall: Effect.Effect<void>
  /** Takes `stall` back. */
  readonly flow: Effect.Effect<void>
  /** From now on everything takes so long, by the Clock. */
  readonly delay: (by: Duration.DurationInput) => Effect.Effect<void>
  /** From now on at most so many bytes arrive at a time. */
  readonly split: (size: number) => Effect.Effect<void>
  /** From now on so many bytes arrive within a second of the Clock, a tenth of them at a time. */
  readonly slow: (bytesPerSecond: number) => Effect.Effect<void>
  /** Cuts the wire when so many more bytes have arrived; with 0 when something is about to. */
  readonly cutAfterBytes: (count: number) => Effect.Effect<void>
  /** The same for frames. */
  readonly cutAfterFrames: (count: number) => Effect.Effect<void>
}

/** A wire between a client and a server, what can be done to it, and a recording of it. */
export interface Wire extends Direction {
  readonly toServer: Direction
  readonly toClient: Direction
  /** Ends both ends as a reset does; what is on its way is lost. */
  readonly cut: Effect.Effect<void>
  /** Takes all faults back, and what is on its way arrives now: nothing waits for time any more. */
  readonly heal: Effect.Effect<void>
  /**
   * All that was put on the wire so far, in the order in which it was: requests, responses, frames, ends. It can be
   * asked for while the connection lasts and afterwards. Nothing is left out: what it takes in memory has no bound,
   * and is free when nobody holds the wire or its network.
   */
  readonly recording: Effect.Effect<ReadonlyArray<Recorded>>
  /** The same with a line for each, as `client → server  TEXT "World" [5 bytes]`. */
  readonly transcript: Effect.Effect<ReadonlyArray<string>>
  /** The frames that the client has written so far. */
  readonly framesOfClient: Effect.Effect<ReadonlyArray<Frame>>
  /** The frames that the server has written so far. */
  readonly framesOfServer: Effect.Effect<ReadonlyArray<Frame>>
  /** Everything that the client has written so far, in one piece. */
  readonly sentByClient: Effect.Effect<Uint8Array>
  /** Everything that the server has written so far, in one piece. */
  readonly sentByServer: Effect.Effect<Uint8Array>
}

export interface Ends {
  readonly client: End
  readonly server: End
  readonly wire: Wire
}

const directionOf = (lanes: ReadonlyArray<Lane>): Direction => {
  const set = (faults: Partial<DirectionFaults>) =>
    Effect.sync(() => {
      for (const lane of lanes) lane.set(faults)
    })
  return {
    stall: set({ stalled: true }),
    flow: set({ stalled: false }),
    delay: (delay) => set({ delay }),
    split: (split) => set({ split }),
    slow: (bytesPerSecond) => set({ bytesPerSecond }),
    cutAfterBytes: (cutAfterBytes) => set({ cutAfterBytes }),
    cutAfterFrames: (cutAfterFrames) => set({ cutAfterFrames })
  }
}

let lastPort = 0

const addressWith = (port: number): Address => ({ _tag: "TcpAddress", hostname: "memory", port })

const wasCut = () =>
  new TransportError({
    operation: "stream",
    peer: "memory",
    code: "ECONNRESET",
    cause: new Error("the wire was cut")
  })

const makeWire = (lanes: { readonly toServer: Lane; readonly toClient: Lane }, recorder: Recorder, cut: () => void) => {
  const both = [lanes.toServer, lanes.toClient]
  const framesOf = (role: Role) =>
    Effect.sync(() =>
      recorder.all.flatMap((recorded) => (recorded._tag === "Frame" && recorded.from === role ? [recorded.frame] : []))
    )
  const wire: Wire = {
    ...directionOf(both),
    toServer: directionOf([lanes.toServer]),
    toClient: directionOf([lanes.toClient]),
    cut: Effect.sync(cut),
    heal: Effect.sync(() => {
      for (const lane of both) lane.heal()
    }),
    recording: Effect.sync(() => recorder.all),
    transcript: Effect.sync(() => recorder.all.map(show)),
    framesOfClient: framesOf("client"),
    framesOfServer: framesOf("server"),
    sentByClient: Effect.sync(() => joinedBytes(recorder.written("client"))),
    sentByServer: Effect.sync(() => joinedBytes(recorder.written("server")))
  }
  return wire
}

/** A wire with these faults, which time by the current Clock. */
export const makeEnds = (initial: Partial<Faults> = {}): Effect.Effect<Ends> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Clock.clockWith(Effect.succeed)
    const now = () => clock.unsafeCurrentTimeMillis()
    const recorder = new Recorder(now)
    const cut = () => {
      if (!client.isThere && !server.isThere) return
      recorder.cut()
      client.cut(wasCut())
      server.cut(wasCut())
    }
    const laneFrom = (from: Role) =>
      new Lane({
        from,
        recorder,
        now,
        sleep: (milliseconds, then) => {
          Runtime.runFork(
            Runtime.make({ ...runtime, runtimeFlags: Runtime.defaultRuntimeFlags }),
            Effect.zipRight(clock.sleep(Duration.millis(milliseconds)), Effect.sync(then))
          )
        },
        cut,
        reached: () => initial.onReached?.()
      })
    const { toServer: toServerAlone, toClient: toClientAlone, onReached: _, ...common } = initial
    const toServer = laneFrom("client")
    const toClient = laneFrom("server")
    const [clientAddress, serverAddress] = [addressWith(++lastPort), addressWith(80)]
    const client = new End(toServer, toClient, clientAddress, serverAddress)
    const server = new End(toClient, toServer, serverAddress, clientAddress)
    toServer.set({ ...common, ...toServerAlone })
    toClient.set({ ...common, ...toClientAlone })
    const wire = makeWire({ toServer, toClient }, recorder, cut)
    client.wire = wire
    server.wire = wire
    return { client, server, wire }
  })
