import { readFile } from "node:fs/promises"
import { README } from "./readmeSection.js"

/** A piece of TypeScript that the README shows. */
export interface Snippet {
  /** The section that it stands in. */
  readonly heading: string
  /** The file that it is a part of, as its first line says; without one it is a whole module. */
  readonly file: string | undefined
  /** What stands there, that line included. */
  readonly code: string
}

export const readme = await readFile(README, "utf8")

const languages = /^ *```(.*)\n[\s\S]*?^ *```$/gm
const source = /^```ts\n((?:\/\/ ((?:examples|test\/(?:recipes|stranger))\/\S+)\n)?[\s\S]*?)^```$/gm

/** The language of each block. One that is none of these shows code that nobody compiles. */
export const blocks = [...readme.matchAll(languages)].map(([, language]) => language!)

/** All that it shows, from its beginning to its end. */
export const snippets: ReadonlyArray<Snippet> = readme.split(/^## /m).flatMap((section) =>
  [...section.matchAll(source)].map(([, code, file]) => ({
    heading: section.slice(0, section.indexOf("\n")),
    file,
    code: code!
  }))
)
