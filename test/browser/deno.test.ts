import { tryRuntime } from "./runtimes.js"

await tryRuntime("Deno", "deno", {
  args: ["run", "--quiet", "--no-config", "--no-lock", "--allow-all"],
  env: () => ({ DENO_NO_UPDATE_CHECK: "1" })
})
