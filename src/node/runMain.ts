import { makeRunMain } from "@effect/platform/Runtime"

/**
 * Runs a program as a process: SIGINT and SIGTERM interrupt it and wait for
 * what it releases, so that a server's peers get 1001. The exit code is 0
 * after that or when it completes, 1 when it fails, and then the cause is logged.
 */
export const runMain = makeRunMain(({ fiber, teardown }) => {
  // An effect that waits for nothing of node's would let the process end.
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  let signalled = false
  const stop = () => {
    signalled = true
    // A second signal ends the process the hard way.
    forget()
    fiber.unsafeInterruptAsFork(fiber.id())
  }
  const forget = () => {
    process.off("SIGINT", stop)
    process.off("SIGTERM", stop)
  }
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  fiber.addObserver((exit) => {
    forget()
    clearInterval(keepAlive)
    teardown(exit, (code) => {
      if (signalled || code !== 0) process.exit(code)
    })
  })
})
