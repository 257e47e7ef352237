import { replies, serveCounting } from "./counting.js"

/** Answers of the right length, the first ones right, then one bit wrong in the last byte: `--self-test` must see it. */
serveCounting((reply, workload) => {
  const wrong = Buffer.from(reply)
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  const honest = replies(reply, workload)
  const lying = replies(wrong, workload)
  let answered = 0
  return (count) => {
    answered += count
    return (answered < 100 ? honest : lying)(count)
  }
})
