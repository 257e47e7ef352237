export * as PlatformHttpServer from "./PlatformHttpServer.js"
