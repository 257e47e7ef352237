import type { Case } from "../Case.js"
import { group1 } from "./group1.js"
import { group2 } from "./group2.js"
import { group5 } from "./group5.js"
import { group6 } from "./group6.js"
import { group7 } from "./group7.js"
import { group3, group4 } from "./groups3and4.js"
import { group9, group10 } from "./groups9and10.js"
import { group12, group13 } from "./groups12and13.js"

/** Every case there is, in order. A group more is a file more and a word here. */
export const cases: ReadonlyArray<Case> = [
  ...group1,
  ...group2,
  ...group3,
  ...group4,
  ...group5,
  ...group6,
  ...group7,
  ...group9,
  ...group10,
  ...group12,
  ...group13
]

/** Not a number for what is no case, as a blind spot. */
export const groupOf = (id: string): number => Number.parseInt(id, 10)
