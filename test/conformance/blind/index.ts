import type { BlindSpot } from "./BlindSpot.js"
import { group3 } from "./group3.js"

/** Every blind spot there is, in order. A group more is a file more and a word here. */
export const blindSpots: ReadonlyArray<BlindSpot> = [...group3]
