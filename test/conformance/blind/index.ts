import type { BlindSpot } from "./BlindSpot.js"
import { group1 } from "./group1.js"
import { group1Requests } from "./group1Requests.js"
import { group2 } from "./group2.js"
import { group3 } from "./group3.js"
import { group4 } from "./group4.js"
import { group5 } from "./group5.js"
import { group6 } from "./group6.js"
import { group7 } from "./group7.js"
import { group8 } from "./group8.js"

/** Every blind spot there is, in order. A group more is a file more and a word here. */
export const blindSpots: ReadonlyArray<BlindSpot> = [
  ...group1,
  ...group1Requests,
  ...group2,
  ...group3,
  ...group4,
  ...group5,
  ...group6,
  ...group7,
  ...group8
]
