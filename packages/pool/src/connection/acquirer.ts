/** Notes who has a client, for those who look for leaks. */

/** V8 writes the text of a stack only when it is read. */
export interface Acquirer {
  readonly stack?: string
}

/** Must be called in the caller's own tick. Costs 1 to 2 us. */
export function noteAcquirer(): Acquirer {
  const acquirer: Acquirer = {}
  Error.captureStackTrace(acquirer, noteAcquirer)
  return acquirer
}

/** The frames alone, one a line. */
export function framesOf(acquirer: Acquirer | undefined): string | undefined {
  return acquirer?.stack
    ?.split('\n')
    .filter(line => line.startsWith('    at '))
    .map(line => line.trim())
    .join('\n')
}
