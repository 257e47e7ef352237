import { binary, type Case, filled, make, saw, send, text } from "../Case.js"

/** Framing: one message of each length at which the head changes its form. RFC 6455 §5.2. */

const sizes = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]

/** The last of them comes in chops. */
const variant = (i: number): Partial<Case> => ({
  patience: i < 6 ? 1_000 : 10_000,
  writing: i === 8 ? { chops: 997 } : "together"
})

export const group1: ReadonlyArray<Case> = [
  ...sizes.map((size, i) => {
    const payload = filled("*", size)
    return make(`1.1.${i + 1}`, [send(text(payload))], { expected: [saw.text(payload)], ...variant(i + 1) })
  }),
  ...sizes.map((size, i) => {
    const payload = filled(0xfe, size)
    return make(`1.2.${i + 1}`, [send(binary(payload))], { expected: [saw.binary(payload)], ...variant(i + 1) })
  })
]
