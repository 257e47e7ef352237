import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

export const README = fileURLToPath(new URL("../../README.md", import.meta.url))

/** Puts text between the marks of its name, `<!-- name -->` and `<!-- /name -->`; false where there are none. */
export const rewriteSection = (file: string, name: string, section: string): boolean => {
  const text = readFileSync(file, "utf8")
  const marked = new RegExp(`(?<=<!-- ${name} -->\\n).*?(?=<!-- /${name} -->)`, "s")
  if (!marked.test(text)) return false
  writeFileSync(
    file,
    text.replace(marked, () => section)
  )
  return true
}
