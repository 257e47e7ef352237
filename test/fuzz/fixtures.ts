import { Buffer } from "node:buffer"
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Find } from "./run.js"

/** Inputs that once showed a fault, or that are worth a look in every run: one file each. */

const folder = fileURLToPath(new URL("./fixtures/", import.meta.url))

/** All of them, with the names of their files. */
export const fixtures = (): ReadonlyArray<readonly [file: string, find: Find]> =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => [file, JSON.parse(readFileSync(folder + file, "utf8")) as Find] as const)

/** Writes a find down and returns the file's name, which is the same for the same find. */
export const writeFixture = (find: Find): string => {
  const { mode, seed, hex, problem } = find
  const digest = createHash("sha256").update(`${mode} ${seed} ${hex}`).digest("hex").slice(0, 8)
  const file = `${mode}-${digest}.json`
  mkdirSync(folder, { recursive: true })
  writeFileSync(folder + file, `${JSON.stringify({ mode, seed, hex, problem }, null, 2)}\n`)
  return `test/fuzz/fixtures/${file}`
}

export const bytesOf = ({ hex }: Find): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"))
