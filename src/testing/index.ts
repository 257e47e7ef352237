export * as Testing from "./Testing.js"
