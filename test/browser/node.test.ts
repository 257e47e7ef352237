import { tryRuntime } from "./runtimes.js"

await tryRuntime("Node", "node", { args: ["--experimental-websocket", "--no-warnings"] })
