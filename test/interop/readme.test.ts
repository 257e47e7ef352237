import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, it } from "@effect/vitest"
import { file } from "./child.js"
import { peers } from "./peers.js"
import { table } from "./table.js"

const readme = fileURLToPath(new URL("../../README.md", import.meta.url))
const section = /(?<=<!-- interop -->\n).*?(?=<!-- \/interop -->)/s

it("shows what is tested with which peer, in the README; UPDATE_README=1 writes it", () => {
  const text = readFileSync(readme, "utf8")
  assert.match(text, section)
  if (process.env["UPDATE_README"] === "1")
    writeFileSync(
      readme,
      text.replace(section, () => `${table}\n`)
    )
  else assert.strictEqual(section.exec(text)?.[0], `${table}\n`)
})

it.each(Object.keys(peers))("runs the columns of %s in the file of that name", (name) => {
  assert.isTrue(existsSync(file(`${name}.test.ts`)))
  assert.include(readFileSync(file(`${name}.test.ts`), "utf8"), `interop("${name}")`)
})
