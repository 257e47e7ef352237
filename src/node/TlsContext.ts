import { watch } from "node:fs"
import { readFile } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { createSecureContext, type SecureContextOptions } from "node:tls"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CertificateError } from "./CertificateError.js"

/**
 * The certificate of a server as a resource that can be loaded anew while it
 * listens: connections go on, and new ones see the new certificate.
 */

/** A certificate, its key, and whatever else `tls.createSecureContext` takes. */
export interface Pair extends Omit<SecureContextOptions, "key" | "cert" | "passphrase"> {
  /** PEM, the server's own certificate first and then those that lead to an authority. */
  readonly cert: string | Uint8Array
  /** PEM. */
  readonly key: Redacted.Redacted<string>
  /** What the key is encrypted with. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
}

export interface Service {
  /** The pair that is in use. */
  readonly current: Effect.Effect<Pair>
  /**
   * Loads the pair anew. Completes when every server that uses it shows it to
   * new connections; fails where it cannot be had or does not fit, and then
   * the old one stays. Where one server cannot take it the others have it.
   */
  readonly reload: Effect.Effect<void, CertificateError>
  /** Calls with the pair that is in use, and with each later one until the scope closes. */
  readonly use: (apply: (pair: Pair) => void) => Effect.Effect<void, never, Scope.Scope>
}

export class TlsContext extends Context.Tag("effect-websockets/node/TlsContext")<TlsContext, Service>() {}

/** Loads the pair anew; see `Service`. */
export const reload: Effect.Effect<void, CertificateError, TlsContext> = Effect.flatMap(
  TlsContext,
  (context) => context.reload
)

export interface Options<R = never> {
  /** With each of its elements the pair is loaded anew, as `onSignal` or `onChange`; a failure is logged, and the old pair stays. */
  readonly reloadOn?: Stream.Stream<unknown, never, R> | undefined
  /** Where the pair comes from, for errors and the log: "an effect" unless told otherwise. */
  readonly source?: string | undefined
}

/** A pair, and what its load has acquired, which is held for as long as it is in use. */
interface Loaded {
  readonly pair: Pair
  readonly scope: Scope.CloseableScope
}

/** Loads a pair in a scope of its own, which ends at once where it cannot be had or does not fit. */
const acquiring =
  <E>(source: string, load: (scope: Scope.Scope) => Effect.Effect<Pair, E>) =>
  (restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const unusable = (cause: unknown) => new CertificateError({ source, cause })
      const scope = yield* Scope.make()
      const pair = yield* restore(Effect.mapError(load(scope), unusable)).pipe(
        Effect.tap((pair) => Effect.try({ try: () => createSecureContext(nodeOptions(pair)), catch: unusable })),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
      return { pair, scope }
    })

/**
 * A pair that an effect gives: from a secret store, or as it stands in a
 * `Config`. What the effect adds to its scope is released when another pair has
 * taken its place, or with the layer.
 */
export const layer = <E, R, R2 = never>(
  load: Effect.Effect<Pair, E, R>,
  { reloadOn = Stream.empty, source = "an effect" }: Options<R2> = {}
): Layer.Layer<TlsContext, CertificateError, Exclude<R | R2, Scope.Scope>> =>
  Layer.scoped(
    TlsContext,
    Effect.gen(function* () {
      const context = yield* Effect.context<R>()
      const acquire = acquiring(source, (scope) => Effect.provide(load, Context.add(context, Scope.Scope, scope)))
      let isOver = false
      let current: Loaded = yield* Effect.uninterruptibleMask((restore) =>
        Effect.tap(acquire(restore), () =>
          Effect.addFinalizer((exit) => {
            isOver = true
            return Scope.close(current.scope, exit)
          })
        )
      )
      const users = new Set<(pair: Pair) => void>()
      const put = (next: Loaded): Effect.Effect<void, CertificateError> => {
        // The layer may have ended while it was loaded.
        if (isOver) return Scope.close(next.scope, Exit.void)
        const { scope } = current
        current = next
        const applied = Effect.validateAll([...users], (apply) =>
          Effect.try({ try: () => apply(next.pair), catch: (cause) => cause })
        )
        return Effect.mapError(applied, ([cause]) => new CertificateError({ source, cause })).pipe(
          Effect.ensuring(Scope.close(scope, Exit.void))
        )
      }
      // One at a time: of two the one that began later has the newer pair.
      const turn = yield* Effect.makeSemaphore(1)
      const service: Service = {
        current: Effect.sync(() => current.pair),
        reload: turn.withPermits(1)(Effect.uninterruptibleMask((restore) => Effect.flatMap(acquire(restore), put))),
        use: (apply) =>
          Effect.asVoid(
            Effect.acquireRelease(
              Effect.sync(() => {
                apply(current.pair)
                users.add(apply)
              }),
              () => Effect.sync(() => users.delete(apply))
            )
          )
      }
      const reloading = Effect.matchCauseEffect(service.reload, {
        onFailure: (cause) => Effect.logError("the TLS certificate was not reloaded, the old one stays", cause),
        onSuccess: () => Effect.logInfo(`the TLS certificate was reloaded from ${source}`)
      })
      yield* Stream.runForEach(reloadOn, () => reloading).pipe(
        Effect.catchAllCause((cause) => Effect.logError("the TLS certificate is reloaded no more", cause)),
        Effect.interruptible,
        Effect.forkScoped
      )
      return service
    })
  )

export interface Files extends Omit<Pair, "cert" | "key"> {
  /** The path of the certificate, PEM. */
  readonly cert: string
  /** The path of its key, PEM. */
  readonly key: string
}

/** A pair that stands in files. */
export const layerFiles = <R = never>(
  { cert, key, ...rest }: Files,
  { source = `${cert} and ${key}`, ...options }: Options<R> = {}
): Layer.Layer<TlsContext, CertificateError, Exclude<R, Scope.Scope>> =>
  layer(
    Effect.tryPromise({
      try: async (): Promise<Pair> => ({
        ...rest,
        cert: await readFile(cert),
        key: Redacted.make(await readFile(key, "utf8"))
      }),
      catch: (cause) => cause
    }),
    { source, ...options }
  )

/** An element with each signal, as `SIGHUP`, that the process gets; it then does not end by that signal. */
export const onSignal = (signal: NodeJS.Signals): Stream.Stream<void> =>
  Stream.asyncPush<void>((emit) => listening(process, signal, () => void emit.single(undefined)))

/** How long files have to be left alone before a change of theirs counts: one that is written is written in parts. */
export const settleTime = "200 millis"

/**
 * An element with each change of these files, once they have been left alone
 * for 200 milliseconds. It is their folders that are watched, since a new file
 * or link often takes the place of the old one.
 */
export const onChange = (...paths: ReadonlyArray<string>): Stream.Stream<void> => {
  const folders = [...new Set(paths.map((path) => dirname(path)))]
  const names = new Set(paths.map((path) => basename(path)))
  return Stream.asyncPush<void>((emit) =>
    Effect.forEach(
      folders,
      (folder) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const watcher = watch(folder, (_, name) => {
              // Links to a folder that is exchanged as a whole have another name than the file.
              if (name === null || names.has(name) || name.startsWith("..")) emit.single(undefined)
            })
            // A folder that goes away is no reason to end: what was loaded stays.
            watcher.on("error", () => {})
            return watcher
          }),
          (watcher) => Effect.sync(() => watcher.close())
        ),
      { discard: true }
    )
  ).pipe(Stream.debounce(settleTime))
}

const listening = (emitter: NodeJS.EventEmitter, event: string, listener: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => emitter.on(event, listener)),
    () => Effect.sync(() => emitter.off(event, listener))
  )

/** @internal */
export const nodeOptions = ({ key, passphrase, cert, ...rest }: Pair): SecureContextOptions => ({
  ...rest,
  cert: typeof cert === "string" ? cert : Buffer.from(cert),
  key: Redacted.value(key),
  ...(passphrase === undefined ? {} : { passphrase: Redacted.value(passphrase) })
})
