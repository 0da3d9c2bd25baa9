/** Options of a fleet: how the instances of a service share what their server has. */

import type { Faults } from '@breakwater/kernel'

export interface FleetOptions {
  /**
   * Connections that the fleet leaves alone: for an administrator, a migration, and for instances that are on their way in,
   * each of which connects once before it can know whether there is room. As many can come at one time without one being
   * refused by the server for a moment. A whole number from 0. Default 2.
   */
  keepFree?: number | undefined
  /**
   * Who gives the same one in the same database shares one budget; the connections of everybody else are counted, and
   * taken off. A role with a connection limit of its own shares it only with itself. Default: one for all.
   */
  namespace?: string | undefined
  /**
   * How many instances share the server, used only behind a pooler, where they cannot find out. Each then takes an equal
   * part, for good. A whole number from 1. Default: none, and behind a pooler each takes `max`.
   */
  instances?: number | undefined
}

export interface ResolvedFleet {
  readonly keepFree: number
  readonly namespace: string
  readonly instances: number | undefined
}

/** Returns undefined if there is to be no fleet. */
export function resolveFleet(faults: Faults, given: unknown): ResolvedFleet | undefined {
  if (given === undefined || given === null || given === false) return undefined
  const isGroup = given === true || typeof given === 'object'
  faults.check(isGroup, 'fleet must be true, false or an object')
  const { keepFree = 2, namespace = '', instances } = (isGroup && given !== true ? given : {}) as FleetOptions
  if (typeof given === 'object') {
    const known = ['keepFree', 'namespace', 'instances']
    for (const key of Object.keys(given)) {
      faults.check(known.includes(key), `fleet.${key} is not an option (known: ${known.join(', ')})`)
    }
  }
  faults.check(Number.isInteger(keepFree) && keepFree >= 0, 'fleet.keepFree must be a whole number from 0')
  faults.check(typeof namespace === 'string', 'fleet.namespace must be a string')
  const isCount = instances === undefined || (Number.isInteger(instances) && instances >= 1)
  faults.check(isCount, 'fleet.instances must be a whole number from 1')
  return { keepFree, namespace, instances }
}
