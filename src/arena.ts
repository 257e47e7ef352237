import { allocateArena } from "./protocol/native.js"

/** Memory in which frames lie one behind the other until they are written. */

/** Frames that wait to be written: bytes[start, end); what lies before `start` was given away. */
export interface Arena {
  memory: Uint8Array
  start: number
  end: number
}

export const sharedSize = 131_072
/** With less left than this after a part was given away, new memory is cheaper than many small writes. */
export const sharedMinimum = 32_768

/** What all connections of the process write into, one at a time. */
export const shared: Arena = { memory: new Uint8Array(0), start: 0, end: 0 }

/** Memory of one connection's own, with room for so many bytes behind its end. */
export const withRoom = (own: Arena | undefined, size: number): Arena => {
  if (own === undefined) return { memory: allocateArena(Math.max(size, 4096)), start: 0, end: 0 }
  if (own.end + size > own.memory.length) {
    const larger = allocateArena(Math.max(own.end + size, own.memory.length * 2))
    larger.set(own.memory.subarray(0, own.end))
    own.memory = larger
  }
  return own
}

export const renewShared = (): void => {
  shared.memory = allocateArena(sharedSize)
  shared.start = 0
  shared.end = 0
}
