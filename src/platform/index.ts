export * as PlatformHttpServer from "./PlatformHttpServer.js"
export * as PlatformSocket from "./PlatformSocket.js"
export * as PlatformSocketServer from "./PlatformSocketServer.js"
export * as PlatformWebSocket from "./PlatformWebSocket.js"
