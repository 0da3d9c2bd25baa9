/** Says in one line what went wrong, whatever was thrown; never with a stack or a connection string. */

/** Returns the first line of the error's message; where a driver leaves that empty, what caused it. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return describeError(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  const [line = ''] = error.message.split('\n', 1)
  return line || (error as NodeJS.ErrnoException).code || error.name
}
