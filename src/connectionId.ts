let last = 0

/** A number that no other connection of the process has. */
export const connectionId = (): number => ++last
