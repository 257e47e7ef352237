import { type Lie, lies, liesOf } from "./lies.js"
import type { Fault } from "./messages.js"
import { measure, RunFailed } from "./run.js"
import { workloadNamed } from "./workloads.js"

/**
 * Whether the load generator can be believed: the same run must pass with ws, which shares no code with this folder, and
 * name what is wrong with each liar.
 */
export const selfTest = async (workloads: ReadonlyArray<string>, print: (text: string) => void): Promise<boolean> => {
  let all = true
  for (const workload of workloads) {
    const honest = await outcome(workload)
    all &&= honest.said === "passed"
    print(`${workload} ws: ${honest.said}`)
    for (const lie of liesOf(workloadNamed(workload))) {
      const { fault, said } = await outcome(workload, lie)
      const isCaught = fault === lies[lie]
      all &&= isCaught
      print(`${workload} ${lie}: ${isCaught ? "caught" : "NOT CAUGHT"}, ${said}`)
    }
  }
  print(all ? "Every liar was caught, the honest were not." : "SELF-TEST FAILED")
  return all
}

const options = { seconds: 0.5, warmUpSeconds: 0.2, handshakes: 200 }

const outcome = async (
  workload: string,
  lie?: Lie
): Promise<{ readonly fault: Fault | undefined; readonly said: string }> => {
  try {
    await measure(lie === undefined ? "ws" : "liar", workload, options, lie)
    return { fault: undefined, said: "passed" }
  } catch (error) {
    if (!(error instanceof RunFailed)) throw error
    return { fault: error.fault, said: error.message }
  }
}
