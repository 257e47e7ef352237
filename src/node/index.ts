export * as NodeConnector from "./NodeConnector.js"
export * as NodeDeflate from "./NodeDeflate.js"
export * as NodeListener from "./NodeListener.js"
export { runMain } from "./runMain.js"
