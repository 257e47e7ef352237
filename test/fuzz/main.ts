import { parseArgs } from "node:util"
import { met } from "./differential.js"
import { writeFixture } from "./fixtures.js"
import { modes } from "./modes.js"
import { run } from "./run.js"
import { metPoints } from "./wsDeflate.js"

/** `npm run fuzz -- --seconds 60 --seed 1 --mode decoder`: each mode for that long, all of them unless one is named. */

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 0x100000000) },
    mode: { type: "string" }
  }
})

const seconds = Number(values.seconds)
const seed = Number(values.seed)
const chosen = modes.filter(({ name }) => values.mode === undefined || name === values.mode)

if (chosen.length === 0 || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(`--seconds above 0, --seed a whole number, --mode one of ${modes.map(({ name }) => name).join(", ")}`)
  process.exit(2)
}

let found = 0
for (const mode of chosen) {
  const summary = await run(mode, { seconds, seed })
  const rate = Math.round(summary.executions / summary.seconds)
  console.log(
    `${mode.name}: seed ${seed}, ${summary.executions} executions in ${summary.seconds.toFixed(1)} s (${rate}/s), ` +
      `${summary.bytes} bytes, ${summary.finds.length} finds`
  )
  for (const find of summary.finds) console.log(`  ${find.problem}\n    ${writeFixture(find)}`)
  found += summary.finds.length
}
if (chosen.some(({ name }) => name === "differential")) {
  console.log(`  stricter than ws: ${[...met].map(([name, times]) => `${name} ${times}`).join(", ")}`)
}
if (chosen.some(({ name }) => name === "wsDeflate")) {
  console.log(`  not as ws: ${[...metPoints].map(([name, times]) => `${name} ${times}`).join(", ")}`)
}
process.exit(found === 0 ? 0 : 1)
