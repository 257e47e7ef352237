/** The chat on a port: `PORT=9000 npx tsx test/stranger/main.ts`. */
import { Config, Layer } from "effect"
import { NodeListener, runMain } from "effect-websockets/node"
import { ChatServer } from "./chat.js"

const listener = NodeListener.layerConfig({ port: Config.withDefault(Config.integer("PORT"), 8765) })

ChatServer.pipe(Layer.provide(listener), Layer.launch, runMain)
