/**
 * What is measured, and how good the library has to be at it.
 *
 * Every workload is the same echo in another shape: each connection keeps `window` messages in flight and sends one
 * for every reply. Ratios are CPU time per message, ws' over ours: twice as good is 2.
 */
export interface Workload {
  readonly title: string
  readonly message: { readonly type: "text" | "binary" | "json"; readonly bytes: number }
  /**
   * Messages are compressed both ways, by ends that forget each message when the next comes, so that all requests can
   * be the same bytes. RFC 7692.
   */
  readonly deflate?: boolean
  readonly connections: number
  readonly window: number
  readonly target: {
    /** At least this much better than ws. */
    readonly floor: number
    readonly goal: number
    /** Part of the goal too: at least this much of `raw`, which only counts bytes. */
    readonly goalOfRaw?: number
    /** `--guard` fails below 80 % of the floor, and below this wherever it is higher. */
    readonly never?: number
  }
}

const KiB = 1024
const MiB = 1024 * KiB

export const workloads = {
  P1: {
    title: "echo 64 B text, 1 connection, window 1",
    message: { type: "text", bytes: 64 },
    connections: 1,
    window: 1,
    target: { floor: 1.1, goal: 1.3, goalOfRaw: 0.95 }
  },
  P2: {
    title: "echo 64 B text, 64 connections, window 1",
    message: { type: "text", bytes: 64 },
    connections: 64,
    window: 1,
    target: { floor: 1.1, goal: 1.3, goalOfRaw: 0.95, never: 1 }
  },
  P3: {
    title: "echo 64 B text, 16 connections, window 64",
    message: { type: "text", bytes: 64 },
    connections: 16,
    window: 64,
    target: { floor: 8, goal: 14 }
  },
  P4: {
    title: "echo 1 KiB text, 64 connections, window 1",
    message: { type: "text", bytes: KiB },
    connections: 64,
    window: 1,
    target: { floor: 1.1, goal: 1.3, goalOfRaw: 0.95 }
  },
  P5: {
    title: "echo 16 KiB binary, 16 connections, window 4",
    message: { type: "binary", bytes: 16 * KiB },
    connections: 16,
    window: 4,
    target: { floor: 3.5, goal: 4.5, goalOfRaw: 0.9 }
  },
  P6: {
    title: "echo 1 MiB binary, 2 connections, window 2",
    message: { type: "binary", bytes: MiB },
    connections: 2,
    window: 2,
    target: { floor: 3, goal: 4, goalOfRaw: 0.9 }
  },
  P10: {
    title: "echo 1 KiB JSON compressed, 16 connections, window 4",
    message: { type: "json", bytes: KiB },
    deflate: true,
    connections: 16,
    window: 4,
    target: { floor: 3.5, goal: 6 }
  }
} as const satisfies Record<string, Workload>

export type WorkloadName = keyof typeof workloads

export const isWorkloadName = (name: string): name is WorkloadName => Object.hasOwn(workloads, name)

/** The workload that a server is started for. */
export const ownWorkload = (): Workload => {
  const name = process.argv[2] ?? ""
  if (!isWorkloadName(name)) throw new Error(`no workload is called "${name}"`)
  return workloadNamed(name)
}

export const workloadNamed = (name: WorkloadName): Workload => workloads[name]
