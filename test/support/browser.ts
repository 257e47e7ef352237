import { Effect, type Scope } from "effect"
import { chromium, type Page } from "playwright-core"
import { find } from "./requirements.js"

/** Without what Chromium does in the background, which wants a network that a test must not need. */
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

/** Starts a browser without a window, which ends with the scope, and gives the function that opens a tab in it. */
export const openBrowser: Effect.Effect<(url: string) => Effect.Effect<Page>, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => {
      const executablePath = find("chromium")
      if (executablePath === undefined) throw new Error("chromium is not installed")
      return chromium.launch({ executablePath, args })
    }),
    (browser) => Effect.promise(() => browser.close())
  ),
  (browser) => (url) =>
    Effect.promise(async () => {
      const page = await browser.newPage()
      await page.goto(url)
      return page
    })
)
