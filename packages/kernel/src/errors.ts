/**
 * The one root of Breakwater's own errors. A caller branches on `kind`; a driver's or a loader's error passes through
 * untouched and is never wrapped, so `err.code === '23505'` keeps working.
 */

export type ErrorKind =
  /** The caller's bug, thrown at once. */
  | 'usage'
  /** Refused without trying; `retryAfterMs` where it is known. */
  | 'rejected'
  /** Waited for `elapsedMs` in vain. */
  | 'timeout'
  /** Someone else failed; `cause` says who and why. */
  | 'failed'

export interface BreakwaterErrorOptions {
  cause?: unknown
  /** Whether the same call may succeed later with nothing changed. */
  retryable?: boolean
  /** Ms after which a new try is worth it. */
  retryAfterMs?: number
  /** Ms spent waiting before this error. */
  elapsedMs?: number
}

/** Shared through the global symbol registry, so that `isBreakwaterError` holds between two installed copies. */
const BRAND = Symbol.for('breakwater.error')

const RETRYABLE_BY_KIND: Record<ErrorKind, boolean> = { usage: false, rejected: true, timeout: true, failed: false }

export class BreakwaterError extends Error {
  override readonly name: string = 'BreakwaterError'
  /** Stable and upper-case, such as `POOL_ACQUIRE_TIMEOUT`. */
  readonly code: string
  readonly kind: ErrorKind
  readonly retryable: boolean
  declare readonly retryAfterMs?: number
  declare readonly elapsedMs?: number

  constructor(kind: ErrorKind, code: string, message: string, options: BreakwaterErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.kind = kind
    this.code = code
    this.retryable = options.retryable ?? RETRYABLE_BY_KIND[kind]
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    if (options.elapsedMs !== undefined) this.elapsedMs = options.elapsedMs
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Tells whether `error` is one of Breakwater's own, whichever installed copy made it. */
export function isBreakwaterError(error: unknown): error is BreakwaterError {
  return typeof error === 'object' && error !== null && (error as Record<symbol, unknown>)[BRAND] === true
}

/** Collects what is wrong with a set of options, so that one error names every fault. */
export class Faults {
  readonly #found: string[] = []

  /** Notes `problem` unless `ok`. */
  check(ok: boolean, problem: string): void {
    if (!ok) this.#found.push(problem)
  }

  /** Notes every key of `options` that is not in `known`: a misspelt option must not be ignored. */
  unknownKeys(options: object, known: readonly string[]): void {
    for (const key of Object.keys(options)) {
      this.check(known.includes(key), `${key} is not an option (known: ${known.join(', ')})`)
    }
  }

  /** @throws {BreakwaterError} kind `usage`, listing every fault, if there is one. */
  throwIfAny(code: string, what: string): void {
    if (this.#found.length > 0) throw new BreakwaterError('usage', code, `${what}: ${this.#found.join('; ')}`)
  }
}
