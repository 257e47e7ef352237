import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

export default defineConfig({
  // Tests and examples import the package by its own name; tsconfig.json's "paths" say the same to tsc and tsx.
  resolve: {
    alias: [
      { find: /^effect-websockets$/, replacement: source("index.ts") },
      { find: /^effect-websockets\/(\w+)$/, replacement: source("$1/index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Each worker loads the library and Effect once, not for each file: that took a fifth of the time.
    isolate: false,
    minWorkers: 1,
    maxWorkers: availableParallelism(),
    coverage: { provider: "v8", include: ["src/**"], reporter: ["text", "json-summary"] }
  }
})
