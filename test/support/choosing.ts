import { findChoices } from "./choices.js"

/** The program of a child process that says what it has chosen. */

console.log(JSON.stringify(await findChoices()))
