/** What the process did before anything was started here: facts of Node's, told as two steps. */

import { performance } from 'node:perf_hooks'
import { type Clock, systemClock } from '@breakwater/kernel'
import type { TimelineStep } from './record.js'

/** This module is read among the imports of the application, whose own code runs only when all of them are. */
const importedMs = performance.now()

/** Returns `process`, until Node could run code, and `imports`, until this package was there. None on a clock of a test's. */
export function bootSteps(clock: Clock): TimelineStep[] {
  const readyMs = performance.nodeTiming.bootstrapComplete
  if (clock !== systemClock || readyMs <= 0 || readyMs > importedMs) return []
  return [
    { name: 'process', phase: 'boot', startMs: 0, durationMs: readyMs, outcome: 'ok' },
    { name: 'imports', phase: 'boot', startMs: readyMs, durationMs: importedMs - readyMs, outcome: 'ok' },
  ]
}
