import { readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { WebSocketClient, WebSocketServer } from "effect-websockets"
import { Testing } from "effect-websockets/testing"
import { greetUser, Server } from "../examples/requests.js"
import { blocks, readme, snippets } from "./support/readme.js"

/**
 * What the README shows is what the examples, the recipes of tests and the chat contain, and those are compiled and
 * run. A snippet that names no file is a module by itself: `package.test.ts` compiles it.
 */

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const shown = snippets.flatMap(({ file, code }) =>
  file === undefined
    ? []
    : [
        {
          file,
          lines: code
            .split("\n")
            .slice(1)
            .map((line) => line.trim())
            .filter((line) => line !== "")
        }
      ]
)

describe("the README", () => {
  it("shows a snippet of each thing that a newcomer meets", () => {
    const files = new Set(shown.map(({ file }) => file))
    for (const name of ["hello-server", "hello-client", "secure-server", "secure-client", "show-time"]) {
      assert.isTrue(files.has(`examples/${name}.ts`), name)
    }
    for (const name of ["synchronised-time", "consumer", "producer", "both", "registration", "requests"]) {
      assert.isTrue(files.has(`examples/${name}.ts`), name)
    }
  })

  it.each(shown)("shows of $file what stands there, line for line", async ({ file, lines }) => {
    const source = (await readFile(root(file), "utf8")).split("\n").map((line) => line.trim())
    let at = 0
    for (const line of lines) {
      const found = source.indexOf(line, at)
      assert.isAtLeast(found, 0, `${file} has no line «${line}» behind the ones before it`)
      at = found + 1
    }
  })

  it("shows no code in a way in which it is not checked", () => {
    assert.sameMembers([...new Set(blocks)], ["", "sh", "ts"])
    assert.lengthOf(
      blocks.filter((language) => language === "ts"),
      snippets.length
    )
  })

  it("names only examples that exist", async () => {
    for (const [, file] of readme.matchAll(/\(((?:examples|test\/(?:recipes|stranger))\/[^)]+)\)/g))
      await readFile(root(file!), "utf8")
  })
})

describe("requests, as the README shows them", () => {
  const connect = (headers: Record<string, string>) =>
    Effect.gen(function* () {
      const network = Layer.succeedContext(yield* Layer.build(Testing.layer))
      yield* Layer.build(Layer.provide(Server, network))
      const client = yield* Layer.build(Layer.provide(WebSocketClient.layer, network))
      return yield* Context.get(client, WebSocketClient.WebSocketClient).connect("ws://memory", { headers })
    })

  it.scoped("a user is greeted by name", () =>
    Effect.gen(function* () {
      const connection = yield* connect({ "X-User": "Ada" })
      assert.strictEqual(yield* connection.receive, "Hello Ada!")
    })
  )

  it.scoped("nobody is refused with 401", () =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(connect({}))).message, "status 401: Who are you?")
    })
  )

  it("a handler that needs a user has that in its type", () => {
    // @ts-expect-error without a hook nobody provides the user
    const layer: Layer.Layer<WebSocketServer.WebSocketServer, unknown, import("effect-websockets").Transport.Listener> =
      WebSocketServer.layer(greetUser)
    assert.isDefined(layer)
  })
})
