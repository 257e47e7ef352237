import { type Case, make, roundTrips } from "../Case.js"
import { type DataSet, dataSets } from "../dataSets.js"
import type { Demand } from "../extensions.js"

/** permessage-deflate: five data sets with nothing asked (12), one with seven sets of parameters (13). RFC 7692 §7.1. */

/** Code points or octets of a message, octets of a fragment. */
const sizes: ReadonlyArray<readonly [length: number, fragment?: number]> = [
  ...[16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072].map((length) => [length] as const),
  ...[8_192, 16_384, 32_768, 65_536, 131_072].map((length) => [length, 256] as const),
  ...[1_024, 4_096, 32_768].map((fragment) => [131_072, fragment] as const)
]
const seconds = [60, 60, 120, 240]

/** The same function for the same file and length: what it gives is compressed once for all of them. */
const rows = new Map<string, ReturnType<typeof rowOf>>()
const rowOf =
  ({ message, type }: DataSet, length: number) =>
  (n: number) => ({ type, payload: message(n, length) })
const row = (data: DataSet, length: number) => {
  const found = rows.get(`${data.name} ${length}`) ?? rowOf(data, length)
  rows.set(`${data.name} ${length}`, found)
  return found
}

const ofEachSize = (prefix: string, data: DataSet, deflate: ReadonlyArray<Demand>): ReadonlyArray<Case> =>
  sizes.map(([length, fragment], i) => {
    const patience = (seconds[i] ?? 480) * 1_000
    return make(`${prefix}.${i + 1}`, [roundTrips(row(data, length), 1_000, fragment)], { deflate, patience })
  })

const { json, bitmap, prose, html, pdf } = dataSets

export const group12 = [json, bitmap, prose, html, pdf].flatMap((data, i) => ofEachSize(`12.${i + 1}`, data, [{}]))

const fresh: Demand = { noContextTakeover: true }
const narrow: Demand = { windowBits: 9 }
const wide: Demand = { windowBits: 15 }

const demands: ReadonlyArray<ReadonlyArray<Demand>> = [
  [{}],
  [fresh],
  [narrow],
  [wide],
  [{ ...fresh, ...narrow }],
  [{ ...fresh, ...wide }],
  [{ ...fresh, ...narrow }, fresh, {}]
]

export const group13 = demands.flatMap((deflate, i) => ofEachSize(`13.${i + 1}`, json, deflate))
