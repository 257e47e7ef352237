/**
 * An error without a stack: it is made where the transport calls us, which
 * says nothing to anybody, and the stack would cost more than all else of it.
 */
export const stackless = <E>(make: () => E): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}
