import { interop } from "./define.js"

interop("chromium")
