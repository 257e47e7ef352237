export * as Frame from "./Frame.js"
export * as Testing from "./Testing.js"
