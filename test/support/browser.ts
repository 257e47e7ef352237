import { Effect, type Scope } from "effect"
import type { Browser, Page } from "playwright-core"
import { find } from "./requirements.js"

/** Without what Chromium does in the background, which wants a network that a test must not need. */
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

/** Chromium without a window, which ends with the scope. */
export const launchBrowser = (...more: ReadonlyArray<string>): Effect.Effect<Browser, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      // Loaded here, as tests that only look for the browser need none of it.
      const { chromium } = await import("playwright-core")
      return chromium.launch({ executablePath: find("chromium") ?? "chromium", args: [...flags, ...more] })
    }),
    (browser) => Effect.promise(() => browser.close())
  )

/** The function that opens a tab in a browser of its own. */
export const openBrowser: Effect.Effect<(url: string) => Effect.Effect<Page>, never, Scope.Scope> = Effect.map(
  launchBrowser(),
  (browser) => (url) =>
    Effect.promise(async () => {
      const page = await browser.newPage()
      await page.goto(url)
      return page
    })
)
