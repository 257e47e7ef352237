import { createHash, X509Certificate } from "node:crypto"
import { Effect, type Scope } from "effect"
import type { Page } from "playwright-core"
import { launchBrowser } from "../support/browser.js"
import type { Authority, Command, Tell } from "./child.js"

/** Chromium: each connection is made by a page of its own, from our server, which loads `web.mjs`. */

/** Chromium knows no other authorities than the system's; this lets it take the one key. */
const fingerprint = (certificate: string): string => {
  const key = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" })
  return createHash("sha256").update(key).digest("base64")
}

/** The page's own part, as text: it runs there and not here. */
const load = `import("/web.mjs").then(({ commands }) => {
  globalThis.peer = commands({ make: ({ url, subprotocols }) => new WebSocket(url, subprotocols ?? []) })
})`

export const startChromium = ({ pair }: Authority): Effect.Effect<Tell, never, Scope.Scope> =>
  Effect.gen(function* () {
    const browser = yield* launchBrowser(`--ignore-certificate-errors-spki-list=${fingerprint(pair.cert)}`)
    const context = yield* Effect.promise(() => browser.newContext())
    const pages = new Map<string | undefined, Page>()

    const open = async (command: Command): Promise<unknown> => {
      const { url, origin } = command
      const page = await context.newPage()
      pages.set(command.id, page)
      const complaints: Array<string> = []
      page.on("console", (message) => complaints.push(message.text()))
      await page.goto(typeof origin === "string" ? origin : new URL("/", String(url).replace(/^ws/, "http")).href)
      await page.evaluate(load)
      const opened = await run(page, command)
      const status = /Unexpected response code: (\d+)/.exec(complaints.join("\n"))
      return status === null ? opened : { refused: Number(status[1]) }
    }

    const drop = async ({ id }: Command): Promise<void> => {
      await pages.get(id)?.close()
      pages.delete(id)
    }

    return (command) =>
      Effect.promise(async () => {
        if (command.run === "open") return open(command)
        if (command.run === "drop") return drop(command)
        const page = pages.get(command.id)
        if (page === undefined) throw new Error(`no page for ${command.id}`)
        // A page may not say 1001, but that is what a browser says for one that is left.
        if (command.run === "close" && command["code"] === 1001) return page.goto("about:blank").then(() => undefined)
        return run(page, command)
      })
  })

const run = (page: Page, command: Command): Promise<unknown> =>
  page.evaluate(`globalThis.peer.run[${JSON.stringify(command.run)}](${JSON.stringify(command)})`)
