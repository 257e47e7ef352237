import { Buffer } from "node:buffer"
import type { Mode } from "./mode.js"
import { Random } from "./random.js"

/** A case that showed a fault, as small as it could be made. */
export interface Find {
  readonly mode: string
  readonly seed: number
  readonly hex: string
  readonly problem: string
}

export interface Summary {
  readonly executions: number
  readonly bytes: number
  readonly seconds: number
  readonly finds: ReadonlyArray<Find>
}

/** What is wrong with a case; a check that throws has found something too. */
export const problemOf = async (mode: Mode, input: Uint8Array, seed: number): Promise<string | undefined> => {
  try {
    return await mode.check(Uint8Array.from(input), seed)
  } catch (error) {
    return `thrown: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** How long a find is made smaller, in milliseconds. */
const SHRINKING = 3000

/** Takes parts of an input away for as long as the same fault shows. */
const shrink = async (mode: Mode, input: Uint8Array, seed: number, problem: string): Promise<Uint8Array> => {
  let smallest = input
  const end = performance.now() + SHRINKING
  for (let size = input.length >>> 1; size > 0; size >>>= 1) {
    for (let at = 0; at < smallest.length && performance.now() < end; ) {
      const less = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)])
      if ((await problemOf(mode, less, seed)) === problem) smallest = less
      else at += size
    }
  }
  return smallest
}

/** Different faults after which a run stops looking for more. */
const MOST_FINDS = 10

export interface Options {
  /** The run ends with the first of these that is up: without end unless told otherwise. */
  readonly seconds?: number | undefined
  readonly executions?: number | undefined
  readonly seed: number
  /** Stop at the first find, and leave it as large as it is. */
  readonly first?: boolean | undefined
}

/** Runs a mode on the cases of a seed, one after the other, until so many are done or the time is up. Each fault is reported once. */
export const run = async (mode: Mode, options: Options): Promise<Summary> => {
  const {
    seconds = Number.POSITIVE_INFINITY,
    executions: most = Number.POSITIVE_INFINITY,
    seed,
    first = false
  } = options
  const seeds = new Random(seed)
  const finds = new Map<string, Find>()
  const start = performance.now()
  let executions = 0
  let bytes = 0
  const isOver = () => executions >= most || performance.now() - start >= seconds * 1000
  while (!isOver() && finds.size < (first ? 1 : MOST_FINDS)) {
    const caseSeed = seeds.uint32()
    const input = mode.generate(new Random(caseSeed), caseSeed)
    executions++
    bytes += input.length
    const problem = await problemOf(mode, input, caseSeed)
    if (problem === undefined || finds.has(problem)) continue
    const smallest = first ? input : await shrink(mode, input, caseSeed, problem)
    finds.set(problem, { mode: mode.name, seed: caseSeed, hex: Buffer.from(smallest).toString("hex"), problem })
  }
  return { executions, bytes, seconds: (performance.now() - start) / 1000, finds: [...finds.values()] }
}
