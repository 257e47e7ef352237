import type * as Frame from "../../src/protocol/Frame.js"
import type { Random } from "./random.js"

/** One thing to fuzz: what is fed to it, and what has to hold. */
export interface Mode {
  readonly name: string
  /** An input, made of nothing but these numbers. The case's seed is for what depends on it, as the role. */
  readonly generate: (random: Random, seed: number) => Uint8Array
  /** What is wrong, in a sentence that is the same whenever the same is wrong; undefined where all holds. The same for the same input and seed. */
  readonly check: (input: Uint8Array, seed: number) => string | undefined | Promise<string | undefined>
}

/** Which end reads the bytes of a case. */
export const roleOf = (seed: number): Frame.Role => ((seed & 1) === 0 ? "client" : "server")

/** The seed of what is done with an input, apart from the one of the input itself. */
export const usage = (seed: number): number => (seed ^ 0x5bd1e995) >>> 0
