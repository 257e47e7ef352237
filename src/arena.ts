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

export const renewShared = (): void => {
  shared.memory = allocateArena(sharedSize)
  shared.start = 0
  shared.end = 0
}
