/** Control characters, and what reorders or hides text. */
const unprintable = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A peer's text for a log or a terminal, which must not obey it: what is not shown as itself is escaped. */
export const printable = (text: string): string =>
  text.replace(unprintable, (character) => character.split("").map(escaped).join(""))
