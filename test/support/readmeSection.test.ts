import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { README, rewriteSection } from "./readmeSection.js"

describe("a section of the README", () => {
  it("comes between the marks of its name, and nowhere where there are none", () => {
    const folder = mkdtempSync(join(tmpdir(), "readme-"))
    const file = join(folder, "README.md")
    try {
      const other = "<!-- other -->\nkept\n<!-- /other -->\n"
      writeFileSync(file, `before\n${other}<!-- name -->\nold\n<!-- /name -->\nbehind $& it\n`)
      assert.isTrue(rewriteSection(file, "name", "new\n"))
      const written = `before\n${other}<!-- name -->\nnew\n<!-- /name -->\nbehind $& it\n`
      assert.strictEqual(readFileSync(file, "utf8"), written)
      assert.isFalse(rewriteSection(file, "missing", "new\n"))
      assert.strictEqual(readFileSync(file, "utf8"), written)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("is of this project's README", () => {
    assert.match(readFileSync(README, "utf8"), /^# effect-websockets\n/)
  })
})
