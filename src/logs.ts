import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashSet from "effect/HashSet"
import * as LogLevel from "effect/LogLevel"
import * as Runtime from "effect/Runtime"

/**
 * What a server or a client says by Effect's logger, from where there is no
 * fiber. Nothing is built or forked for a level that the logger does not want
 * when the server's or the client's layer is built.
 */
export class Logs {
  private readonly runtime: Runtime.Runtime<never>
  private readonly minimum: LogLevel.LogLevel

  constructor(runtime: Runtime.Runtime<never>) {
    this.runtime = runtime
    const { fiberRefs } = runtime
    const isAnybodyThere = HashSet.size(FiberRefs.getOrDefault(fiberRefs, FiberRef.currentLoggers)) > 0
    this.minimum = isAnybodyThere ? FiberRefs.getOrDefault(fiberRefs, FiberRef.currentMinimumLogLevel) : LogLevel.None
  }

  /** Whether frames are to be told, each in a line. */
  get areFramesWanted(): boolean {
    return this.isWanted(LogLevel.Debug)
  }

  debug(message: () => string, connection?: number): void {
    this.write(LogLevel.Debug, message, connection)
  }

  info(message: () => string, connection?: number): void {
    this.write(LogLevel.Info, message, connection)
  }

  /** What the user's own code did wrong, with its cause. */
  error(message: string, cause: Cause.Cause<unknown>, connection?: number): void {
    if (this.isWanted(LogLevel.Error)) this.run(Effect.logError(message, cause), connection)
  }

  private write(level: LogLevel.LogLevel, message: () => string, connection: number | undefined): void {
    if (this.isWanted(level)) this.run(Effect.logWithLevel(level, message()), connection)
  }

  private run(log: Effect.Effect<void>, connection: number | undefined): void {
    Runtime.runFork(this.runtime, connection === undefined ? log : Effect.annotateLogs(log, "connection", connection))
  }

  private isWanted(level: LogLevel.LogLevel): boolean {
    return LogLevel.lessThanEqual(this.minimum, level)
  }
}
