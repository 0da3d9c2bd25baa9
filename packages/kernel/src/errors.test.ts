import { describe, expect, it } from 'vitest'
import { BreakwaterError, type ErrorKind, Faults, isBreakwaterError } from './errors.js'

describe('BreakwaterError', () => {
  it('says of each kind whether the same call may succeed later', () => {
    const kinds: ErrorKind[] = ['usage', 'rejected', 'timeout', 'failed']
    expect(kinds.map(kind => new BreakwaterError(kind, 'X', 'x').retryable)).toEqual([false, true, true, false])
    expect(new BreakwaterError('failed', 'X', 'x', { retryable: true }).retryable).toBe(true)
  })

  it('carries what it was given and nothing else', () => {
    const cause = new Error('why')
    const error = new BreakwaterError('timeout', 'X', 'x', { cause, elapsedMs: 5 })
    expect(error).toMatchObject({ name: 'BreakwaterError', code: 'X', kind: 'timeout', cause, elapsedMs: 5 })
    expect('retryAfterMs' in error).toBe(false)
    expect('cause' in new BreakwaterError('usage', 'X', 'x')).toBe(false)
  })

  it('is known for what it is across two installed copies', () => {
    class OfAnotherCopy extends Error {}
    const foreign = new OfAnotherCopy('x')
    expect(isBreakwaterError(foreign)).toBe(false)
    Object.defineProperty(foreign, Symbol.for('breakwater.error'), { value: true })
    expect(isBreakwaterError(foreign)).toBe(true)
    for (const other of [null, undefined, 'x', {}, new Error('x')]) expect(isBreakwaterError(other)).toBe(false)
  })
})

describe('Faults', () => {
  it('throws one error that names every fault, or none', () => {
    const faults = new Faults()
    faults.check(true, 'never said')
    expect(() => faults.throwIfAny('X', 'options')).not.toThrow()
    faults.check(false, 'max must be more')
    faults.unknownKeys({ min: 1, mx: 2 }, ['min', 'max'])
    expect(() => faults.throwIfAny('X', 'options')).toThrow(
      expect.objectContaining({
        kind: 'usage',
        code: 'X',
        message: 'options: max must be more; mx is not an option (known: min, max)',
      }),
    )
  })
})
