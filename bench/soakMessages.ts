/** What goes over the IPC channels of the soak. */

export type ToSpeaker = {
  readonly _tag: "Talk"
  readonly count: number
  /** As fast as they are accepted where there is none. */
  readonly perSecond: number | undefined
  readonly bytes: number
}

export type FromSpeaker =
  | { readonly _tag: "Listening"; readonly port: number }
  | {
      readonly _tag: "Said"
      /** Bytes of memory, before and at the most. */
      readonly before: number
      readonly peak: number
      /** Messages that connections were too slow for. */
      readonly missed: number
      readonly seconds: number
    }

export type ToReaders =
  | { readonly _tag: "Connect"; readonly port: number; readonly connections: number; readonly slow: number }
  /** Waits until nothing comes any more to those that are fast, and counts anew from then on. */
  | { readonly _tag: "Count" }

export type FromReaders =
  | { readonly _tag: "Connected" }
  | {
      readonly _tag: "Counted"
      /** Fast readers that have as many messages as the one that has most. */
      readonly complete: number
      readonly least: number
      readonly open: number
    }
