/** One workload under way. What each of these completes with is what it has counted. */
export interface Load {
  /** So many connections more. */
  readonly open: (connections: number) => Promise<void>
  /** Keeps at it for so long, or until so much is done; not where connections are idle. */
  readonly run?: (seconds: number, atMost?: number) => Promise<number>
  /** Ends all connections, where that is measured. */
  readonly drop?: () => Promise<number>
}
