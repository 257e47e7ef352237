import { interop } from "./define.js"

interop("undici")
