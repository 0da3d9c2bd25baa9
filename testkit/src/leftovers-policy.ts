/** Whether the present test may leave something open; kept apart so that test files and the check share it. */

let isAllowed = false

/**
 * Lets the present test leave things open, such as the connections of a pool that its whole file shares. Called in a
 * test it holds for that test; as `beforeEach(allowLeftovers)`, for all of the file or `describe`.
 */
export function allowLeftovers(): void {
  isAllowed = true
}

/** Takes the permission back. */
export function forbidLeftovers(): void {
  isAllowed = false
}

export function leftoversAllowed(): boolean {
  return isAllowed
}
