export * as NodeConnector from "./NodeConnector.js"
export * as NodeListener from "./NodeListener.js"
export * as NodeProxy from "./NodeProxy.js"
export { runMain } from "./runMain.js"
