/** After every test of the suite: nothing that it opened is still open. */

import { beforeEach } from 'vitest'
import { eventually } from './eventually.js'
import { leftovers } from './leftovers.js'
import { forbidLeftovers, leftoversAllowed } from './leftovers-policy.js'
import { trackTimers } from './timers.js'

/** Sockets take a moment to close, and ioredis keeps a timer for 2 s after `disconnect()` of a dead connection. */
const CLOSES_WITHIN_MS = 2_500

trackTimers()

// The first hook of every test, so what a file's beforeAll opened counts as there before.
beforeEach(({ task, onTestFinished }) => {
  forbidLeftovers()
  const before = leftovers()
  // The first to be registered is the last to be called: after all hooks and clean-ups of the test.
  onTestFinished(async () => {
    // Tests that run side by side cannot be told apart, and one that failed has said enough.
    if (leftoversAllowed() || task.concurrent || task.result?.state === 'fail') return
    await eventually(() => before.check(), CLOSES_WITHIN_MS)
  })
})
