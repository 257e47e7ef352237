import { interop } from "./define.js"

interop("deno")
