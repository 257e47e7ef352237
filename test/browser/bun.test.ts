import { tryRuntime } from "./runtimes.js"

await tryRuntime("Bun", "bun", { args: ["run"] })
