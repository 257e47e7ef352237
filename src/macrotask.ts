/** Runs behind the microtasks and the input that are there now. */
export const macrotask: (run: () => void) => void =
  typeof setImmediate === "function" ? (run) => void setImmediate(run) : (run) => void setTimeout(run, 0)
