import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { bundle } from "./bundle.js"

/** What a page has to load. */

const KB = 1_000

describe("a program for browsers", () => {
  it.live("C9: is bundled without anything of Node's, and without the library's edge to it", () =>
    Effect.gen(function* () {
      const { code, files, imports } = yield* bundle("examples/hello-browser.ts")
      assert.deepStrictEqual(imports, [])
      assert.isAbove(files.get("src/socketLifecycle.ts") ?? 0, 0)
      assert.deepStrictEqual(
        [...files.keys()].filter((file) =>
          /^src\/(node|testing|platform|redis)\/|find-my-way|platform-node/.test(file)
        ),
        []
      )
      assert.notMatch(code, /\brequire\b|\bfrom\s*["']node:|\bimport\s*\(/)
      // What is looked up where there is a process, each with a portable way beside it: `protocol/native.ts`.
      const lookups = code.match(/.node:\w+/g) ?? []
      assert.includeMembers(['"node:buffer', '"node:crypto'], [...lookups])
    })
  )

  it.live("C9: is less than 120 kB compressed, Effect included, and has less than 100 kB of the library in it", () =>
    Effect.gen(function* () {
      const { code, files } = yield* bundle("examples/hello-browser.ts")
      const ours = [...files].reduce((sum, [file, size]) => sum + (file.startsWith("src/") ? size : 0), 0)
      const compressed = gzipSync(code).length
      console.info(
        `hello-browser: ${code.length} bytes, ${compressed} compressed, ${ours} before that of the library's own`
      )
      assert.isBelow(ours, 100 * KB)
      assert.isBelow(compressed, 120 * KB)
    })
  )

  it.live("is not bundled where something of it needs Node", () =>
    Effect.map(Effect.exit(bundle("examples/hello-client.ts")), (exit) => assert.isTrue(Exit.isFailure(exit)))
  )
})
