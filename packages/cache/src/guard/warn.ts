/** How a guard tells its operator of something. */

import type { GuardSurroundings } from './guard.js'

export type Warn = (event: string, what: string, fields?: object) => void

export function warner({ space, logger }: GuardSurroundings): Warn {
  return (event, what, fields = {}) => logger?.warn({ event, space, ...fields }, `guard of "${space}" ${what}`)
}
