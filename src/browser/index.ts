export * as BrowserWebSocket from "./BrowserWebSocket.js"
