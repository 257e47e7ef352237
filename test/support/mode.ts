import { fileURLToPath } from "node:url"

/** How the tests are run: with all that Node has, or as `npm run test:portable` without what not every runtime has. */

/** Whether `portable.mjs` was to be loaded; `choices.test.ts` sees that it was. */
export const isPortable = process.env["NODE_OPTIONS"]?.includes("support/portable.mjs") === true

/** What a process of node's is started with that has inherited nothing, and is to run the same way. */
export const modeArguments: ReadonlyArray<string> = isPortable
  ? ["--import", fileURLToPath(new URL("portable.mjs", import.meta.url))]
  : []
