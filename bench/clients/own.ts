import { type Client, ownWorkload } from "../workloads.js"

/** The workload that a client is started for. */
export const ownClient = (): Client => {
  const workload = ownWorkload()
  if (workload.kind !== "client") throw new Error(`${workload.title} is not for clients`)
  return workload
}
