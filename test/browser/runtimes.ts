import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { Effect } from "effect"
import { authority, type ChildOptions, child } from "../interop/child.js"
import { find, type Requirement, requires } from "../support/requirements.js"
import { bundle, program } from "./bundle.js"
import { contract, type Runtime } from "./contract.js"

/** A runtime beside browsers that has the API: it plays the scenarios of the bundle, as a process of its own. */
export const tryRuntime = async (
  name: string,
  command: Requirement | "node",
  { args = [], env }: ChildOptions,
  differences?: Runtime["differences"]
): Promise<void> => {
  const needs = command === "node" ? [] : [command]
  const isThere = command === "node" || find(command) !== undefined
  const code = isThere ? (await Effect.runPromise(bundle(program))).code : ""
  requires(...needs)(`${name}'s WebSocket`, () => {
    contract({
      program: code,
      differences,
      start: () =>
        Effect.gen(function* () {
          const made = yield* authority
          const file = join(made.path, "program.mjs")
          writeFileSync(file, code)
          const player = new URL("child.mjs", import.meta.url).pathname
          const options = { args: [...args, player, pathToFileURL(file).href], ...(env === undefined ? {} : { env }) }
          const tell = yield* child(command, options)(made)
          return (name, uri) => tell({ run: "play", name, uri })
        })
    })
  })
}
