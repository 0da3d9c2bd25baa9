/** Hands the outcome of a promise to a callback as Node's callbacks expect it: later, once, and free to throw. */

/** Resolves to `[result]` or more arguments behind the error. */
export function deliver<R>(
  outcome: Promise<R>,
  succeeded: (result: R) => void,
  failed: (error: unknown) => void,
): void {
  // Not from within the promise's own callback, where what it throws would count as an unhandled rejection.
  outcome.then(
    result => process.nextTick(succeeded, result),
    error => process.nextTick(failed, error),
  )
}
