import { createServer } from "node:http"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { NodeListener } from "effect-websockets/node"
import { hello } from "../../examples/hello-server.js"
import { listening, serveOn } from "../node/support.js"
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

requires("chromium")("the example for browsers", () => {
  it.scopedLive(
    "C9: says hello to the server that its page came from",
    () =>
      Effect.gen(function* () {
        const { code } = yield* bundle("examples/hello-browser.ts")
        const { server, port } = yield* listening(() =>
          createServer(({ url }, response) => {
            const isProgram = url === "/program.js"
            response.setHeader("content-type", isProgram ? "text/javascript" : "text/html")
            response.end(isProgram ? code : '<body><script type="module" src="/program.js"></script>')
          })
        )
        yield* serveOn(hello, NodeListener.fromServer(server))
        const open = yield* openBrowser
        const page = yield* open(`http://localhost:${port}/`)
        yield* Effect.promise(() => page.getByText("Hello World!", { exact: true }).waitFor({ timeout: 15_000 }))
      }),
    60_000
  )
})
