import { text } from "../Case.js"
import { mask, Opcode } from "../wire.js"
import type { Bench } from "./Bench.js"
import { type BlindSpot, demand } from "./BlindSpot.js"
import { fails } from "./expect.js"

/** Masking: which frames have it, and how good it is. RFC 6455 §5.1, §5.3. */

const FRAMES = 1_000

/** How many of 32,000 bits may be set: half of them, give or take eight standard deviations. */
const isBalanced = (bits: number): boolean => Math.abs(bits - FRAMES * 16) < 8 * Math.sqrt(FRAMES * 8)

const bitsOf = (octets: Iterable<number>): number => {
  let bits = 0
  for (const octet of octets) for (let i = octet; i > 0; i >>= 1) bits += i & 1
  return bits
}

/** Behind a frame that is right the same with the other masking, which fails the connection. */
const refusesOther = async (bench: Bench, maskingKey: Uint8Array | "none"): Promise<void> => {
  const { peer } = await bench.open()
  await peer.echoes("right")
  peer.send(text("wrong", { maskingKey }), text("behind it"))
  await fails(peer, 1002)
}

export const group3: ReadonlyArray<BlindSpot> = [
  {
    id: "B3.1",
    title: "an unmasked frame of a client fails the connection with 1002",
    role: "server",
    run: (bench) => refusesOther(bench, "none")
  },
  {
    id: "B3.2",
    title: "a masked frame of a server fails the connection with 1002",
    role: "client",
    run: (bench) => refusesOther(bench, Uint8Array.of(1, 2, 3, 4))
  },
  {
    id: "B3.3",
    title: "a client masks each of 1,000 frames with a key of its own that looks random",
    role: "client",
    run: async (bench) => {
      const { peer } = await bench.open()
      const keys: Array<Uint8Array> = []
      peer.send(...Array.from({ length: FRAMES }, () => text("the same")))
      for (let i = 0; i < FRAMES; i++) {
        const { key, opcode } = await peer.frame()
        demand(opcode === Opcode.Text && key !== undefined, "it did not send its echoes masked")
        keys.push(key)
      }
      const numbers = keys.map((key) => Buffer.from(key).readUInt32BE())
      // Of a thousand random numbers of 32 bits two are equal in one run of 8,600; two pairs are not to be expected.
      demand(new Set(numbers).size >= FRAMES - 1, `of ${FRAMES} masking keys ${new Set(numbers).size} differ`)
      demand(isBalanced(bitsOf(keys.flatMap((key) => [...key]))), "the bits of the masking keys are lopsided")
      // A counter, or a sum of the key before with something, shows in the differences.
      const steps = keys.slice(1).map((key, i) => mask(key, keys[i]!))
      demand(isBalanced(bitsOf(steps.flatMap((step) => [...step]))), "each masking key follows from the one before")
    }
  }
]
