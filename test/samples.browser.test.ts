import { fileURLToPath, pathToFileURL } from "node:url"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Logger, Ref, Scope } from "effect"
import { ConnectionRegistry, WebSocketServer } from "effect-websockets"
import type { Page } from "playwright-core"
import { counterServer } from "../examples/counter.js"
import { showTimeServer } from "../examples/show-time.js"
import { synchronisedTimeServer } from "../examples/synchronised-time.js"
import { openBrowser } from "./support/browser.js"
import { requires } from "./support/requirements.js"

/** The samples' pages in Chromium, as a person sees them. */

/** How many errors are logged. */
const errors = Effect.map(Ref.make(0), (count) => ({
  count: Ref.get(count),
  layer: Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel }) => {
      if (logLevel._tag === "Error") Effect.runSync(Ref.update(count, (n) => n + 1))
    })
  )
}))

const serving = (server: typeof showTimeServer | typeof synchronisedTimeServer | typeof counterServer) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const log = yield* errors
    const context = yield* Layer.buildWithScope(Layer.provide(server({ port: 0 }), log.layer), scope)
    const { address } = Context.get(context, WebSocketServer.WebSocketServer)
    const port = address._tag === "TcpAddress" ? address.port : assert.fail("it has no port")
    const registry = Context.get(context, ConnectionRegistry.ConnectionRegistry)
    return { port, registry, errors: log.count, stop: Scope.close(scope, Exit.void) }
  })

const texts = (page: Page) => Effect.promise(() => page.locator("#times li").allTextContents())

/** Waits until a page shows so many times. */
const shown = (page: Page, count: number) =>
  Effect.promise(() =>
    page
      .locator("#times li")
      .nth(count - 1)
      .waitFor({ timeout: 15_000 })
  )

const pageOf = (name: string) => pathToFileURL(fileURLToPath(new URL(`../examples/${name}`, import.meta.url))).href

requires("chromium")("the time in a browser", () => {
  it.scopedLive(
    "S5: two tabs tick each for itself; one is closed, the other goes on, and nothing is an error",
    () =>
      Effect.gen(function* () {
        const { port, registry, errors, stop } = yield* serving(showTimeServer)
        const open = yield* openBrowser
        const [first, second] = [yield* open(`http://localhost:${port}/`), yield* open(`http://localhost:${port}/`)]
        yield* Effect.all([shown(first, 3), shown(second, 3)], { concurrency: 2 })
        assert.notDeepEqual(yield* texts(first), yield* texts(second))
        yield* Effect.promise(() => first.close())
        const before = (yield* texts(second)).length
        yield* shown(second, before + 2)
        assert.strictEqual(yield* registry.size, 1)
        yield* stop
        yield* Effect.promise(() => second.getByText("The connection has ended (1001).").waitFor())
        assert.strictEqual(yield* errors, 0)
      }),
    60_000
  )

  it.scopedLive(
    "S5: the page works as a local file",
    () =>
      Effect.gen(function* () {
        const { port } = yield* serving(showTimeServer)
        const open = yield* openBrowser
        const page = yield* open(`${pageOf("show-time.html")}?port=${port}`)
        yield* shown(page, 1)
        assert.match((yield* texts(page))[0] ?? "", /^\d{4}-\d\d-\d\dT/)
      }),
    60_000
  )

  it.scopedLive(
    "S6: tabs tick together; one is closed, a late joiner gets the next tick",
    () =>
      Effect.gen(function* () {
        const { port, registry } = yield* serving(synchronisedTimeServer)
        const open = yield* openBrowser
        const [first, second] = [yield* open(`http://localhost:${port}/`), yield* open(`http://localhost:${port}/`)]
        yield* Effect.all([shown(first, 3), shown(second, 3)], { concurrency: 2 })
        const late = yield* open(`http://localhost:${port}/`)
        yield* Effect.promise(() => first.close())
        yield* shown(late, 2)
        yield* shown(second, 5)
        const [seen, after] = [yield* texts(second), yield* texts(late)]
        // Whatever the late one has seen the other has too, at the end.
        assert.include(seen.join(), after.slice(0, 2).join())
        assert.notStrictEqual(seen[0], after[0])
        assert.strictEqual(yield* registry.size, 2)
      }),
    60_000
  )
})

requires("chromium")("the counter in a browser", () => {
  it.scopedLive(
    "S7: two tabs count together; one is closed, and the other sees it go",
    () =>
      Effect.gen(function* () {
        const { port, errors, stop } = yield* serving(counterServer)
        const open = yield* openBrowser
        const [first, second] = [yield* open(`http://localhost:${port}/`), yield* open(`http://localhost:${port}/`)]
        const tabs = [first, second]
        const value = (text: RegExp) =>
          Effect.forEach(tabs, (tab) => Effect.promise(() => tab.locator("#value", { hasText: text }).waitFor()))
        const users = (tab: Page, text: string) => Effect.promise(() => tab.getByText(text).waitFor())
        const press = (tab: Page, name: string) => Effect.promise(() => tab.getByRole("button", { name }).click())
        yield* value(/^0$/)
        for (const tab of tabs) yield* users(tab, "2 users are here.")
        yield* press(first, "One more")
        yield* press(first, "One more")
        yield* value(/^2$/)
        for (let i = 0; i < 3; i++) yield* press(second, "One less")
        yield* value(/^-1$/)
        yield* Effect.promise(() => second.close())
        yield* users(first, "You are alone.")
        yield* stop
        yield* users(first, "The connection has ended (1001).")
        assert.isTrue(yield* Effect.promise(() => first.getByRole("button", { name: "One more" }).isDisabled()))
        assert.strictEqual(yield* errors, 0)
      }),
    60_000
  )

  it.scopedLive(
    "S7: the page works as a local file",
    () =>
      Effect.gen(function* () {
        const { port } = yield* serving(counterServer)
        const open = yield* openBrowser
        const page = yield* open(`${pageOf("counter.html")}?port=${port}`)
        yield* Effect.promise(() => page.getByText("You are alone.").waitFor())
      }),
    60_000
  )
})
