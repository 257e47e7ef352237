import { Effect } from "effect"
import { openBrowser } from "../support/browser.js"
import { requires } from "../support/requirements.js"
import { bundle, program } from "./bundle.js"
import { contract } from "./contract.js"

/** A page in Chromium, which loads the bundle from our server. */

const { code } = await Effect.runPromise(bundle(program))

requires("chromium")("Chromium's WebSocket", () => {
  contract({
    program: code,
    start: ({ page: url }) =>
      Effect.gen(function* () {
        const open = yield* openBrowser
        const page = yield* open(url)
        return (name, uri) =>
          Effect.promise(() =>
            page.evaluate(
              `import("/program.js").then(({ run }) => run(${JSON.stringify(name)}, ${JSON.stringify(uri)}))`
            )
          )
      })
  })
})
