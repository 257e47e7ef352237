import type { Content } from "./support.js"

/** What is sent to peers, and has to come back the same. */

export const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7) & 255)

export const pieces = ["Grüße, ", "", "世", "界 👋🏽", "!"]
/** The same, cut inside a character of JavaScript's two units. */
export const cutPieces = pieces.join("").split(/(?<=\ud83d)/)
export const byteTexts = [bytes(10), bytes(0), bytes(70_000), bytes(3)]
export const joined = Uint8Array.from(byteTexts.flatMap((piece) => [...piece]))

/** Text and bytes of many lengths: an end that handles them at different speeds would mix them up. */
export const many = Array.from({ length: 500 }, (_, i): Content => (i % 3 === 0 ? bytes(i) : `${i} ${"é".repeat(i)}`))

export const megabytes = Array.from(
  { length: 6 },
  (_, i): Content => (i % 2 === 0 ? bytes(1_048_576) : "ü".repeat(400_000))
)

/** Letters that look random, each block of them twice: the copies lie from 200 to `farthest` letters behind. */
export const repeating = (farthest: number): string => {
  let state = 1
  let text = ""
  for (let distance = 200; distance <= farthest; distance *= 2) {
    let block = ""
    for (let i = 0; i < distance; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      block += String.fromCharCode(97 + ((state >>> 16) % 26))
    }
    text += block + block
  }
  return text
}

/** Referred back to from one to the next, as far as the window goes. */
export const again: ReadonlyArray<Content> = [repeating(6400), repeating(25_600), repeating(6400), "Hello", "Hello"]

export const windows = [8, 9, 10, 11, 12, 13, 14, 15]
