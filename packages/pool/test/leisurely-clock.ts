/** Clocks on which everything takes a part of its time, so that what is quick is quick on a busy machine as well. */

import { type Clock, systemClock } from '@breakwater/kernel'

/** Its timers are as usual. */
function clockAt(speed: number): Clock {
  return {
    now: () => systemClock.now() * speed,
    coarse: () => systemClock.coarse() * speed,
    schedule: (delayMs, fn, options) => systemClock.schedule(delayMs, fn, options),
  }
}

export const leisurelyClock: Clock = clockAt(0.1)
/** On which nothing is ever late. */
export const nearlyStillClock: Clock = clockAt(0.001)
