import type * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import * as CloseCode from "../protocol/CloseCode.js"
import { writeError } from "./socketError.js"
import { type Chunk, type Handler, type RunOptions, runConnection, type SocketSettings, writeTo } from "./socketRun.js"

/** Named after what a message to be sent finds. */
type State =
  | { readonly _tag: "Disconnected" } //                               the next connection, to wait for
  | { readonly _tag: "Connected"; readonly connection: Connection } // this one
  | { readonly _tag: "Over" } //                                       nothing, until somebody runs the socket again

/** A socket that opens a connection for each of its runs. */
export class Redialling {
  private readonly dial: Effect.Effect<Connection, Socket.SocketError, Scope.Scope>
  private readonly settings: SocketSettings
  private state: State = { _tag: "Disconnected" }
  private readonly connected = Effect.unsafeMakeLatch(false)

  constructor(dial: Effect.Effect<Connection, Socket.SocketError, Scope.Scope>, settings: SocketSettings) {
    this.dial = dial
    this.settings = settings
  }

  run<A, E, R>(handler: Handler<A, E, R>, options?: RunOptions): Effect.Effect<void, Socket.SocketError | E, R> {
    return Effect.scopedWith((scope) =>
      Effect.suspend(() => {
        if (this.state._tag === "Over") this.enter({ _tag: "Disconnected" })
        return Effect.flatMap(Scope.extend(this.dial, scope), (connection) => {
          const running = Effect.suspend(() => {
            this.enter({ _tag: "Connected", connection })
            return runConnection(connection, this.settings, handler, options)
          })
          return Effect.onExit(running, (exit) => this.left(connection, exit))
        })
      })
    ).pipe(Effect.interruptible)
  }

  write(chunk: Chunk): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      switch (this.state._tag) {
        case "Disconnected":
          return Effect.zipRight(this.connected.await, this.write(chunk))
        case "Connected":
          return writeTo(this.state.connection, chunk)
        case "Over":
          return Effect.fail(writeError(new Error("the connection is closed: run the socket again to have another")))
      }
    })
  }

  private enter(state: State): void {
    this.state = state
    if (state._tag === "Connected") this.connected.unsafeOpen()
    else this.connected.unsafeClose()
  }

  /** A run has ended; its scope closes the connection with 1000, unless that has been done here. */
  private left(connection: Connection, exit: Exit.Exit<void, unknown>): Effect.Effect<void> {
    const isLost = Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)
    // Another run may have begun beside this one: then messages go to its connection.
    if (this.state._tag === "Connected" && this.state.connection === connection) {
      this.enter(isLost ? { _tag: "Disconnected" } : { _tag: "Over" })
    }
    return isLost ? Effect.asVoid(connection.close({ code: CloseCode.InternalError })) : Effect.void
  }
}
