import { interop } from "./define.js"

interop("python")
