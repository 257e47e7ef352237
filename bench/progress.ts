/** What is said while it goes on: on stderr, so that the tables alone can be kept. */

const { isTTY } = process.stderr
const clear = isTTY ? "\r\x1b[K" : ""

export const progress = (text: string): void => console.error(`${clear}${text}`)

/** How far it is, where somebody looks on: a line that is written over. */
export const countDown = (total: number): ((doing: string) => void) => {
  const start = performance.now()
  let done = 0
  return (doing) => {
    const minutes = done === 0 ? "?" : Math.ceil((((performance.now() - start) / done) * (total - done)) / 60_000)
    done++
    if (isTTY) process.stderr.write(`${clear}run ${done} of ${total}, about ${minutes} min left: ${doing}`)
  }
}
