import { interop } from "./define.js"

interop("bun")
