import process from "node:process"
import { serve } from "../interop/lines.mjs"

/** Plays scenarios of a bundle, whose URL it is given, in a runtime that is not a browser. */
const { run } = await import(process.argv[2])

serve({ run: { play: ({ name, uri }) => run(name, uri) } })
