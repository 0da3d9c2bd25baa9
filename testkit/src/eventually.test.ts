/** Waiting for what becomes true. */

import { expect, test } from 'vitest'
import { eventually } from './eventually.js'

test('it resolves as soon as the check neither throws nor says false', async () => {
  let calls = 0
  await eventually(() => ++calls > 2)
  expect(calls).toBe(3)
  await eventually(async () => {
    if (++calls < 6) throw new Error('not yet')
  })
  expect(calls).toBe(6)
})

test('when time is up the last failure is the error', async () => {
  let calls = 0
  const failure = eventually(() => {
    throw new Error(`failure ${++calls}`)
  }, 40)
  await expect(failure).rejects.toThrow(/^failure [2-9]/)
  await expect(eventually(() => calls < 0, 20)).rejects.toThrow('still false after 20 ms: () => calls < 0')
})
