/** Adds up what receivers are sent, and says the sum after every so many messages. */
export const makeTally = (every: number): ((size: number) => string | undefined) => {
  let count = 0
  let sum = 0
  return (size) => {
    sum += size
    count++
    if (count < every) return undefined
    const said = String(sum)
    count = sum = 0
    return said
  }
}
