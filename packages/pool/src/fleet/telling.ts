/** What a fleet's member tells of itself: its events, its figures, its one error. */

import { BreakwaterError } from '@breakwater/kernel'

export type FleetEvent =
  /** The part of the budget that is this instance's has changed. */
  | {
      readonly type: 'fleet-share'
      readonly pool: string
      readonly share: number
      readonly members: number
      /** Connections of all members together. */
      readonly ceiling: number
    }
  /** A pooler stands before the server, so nothing can be shared out: this instance keeps to so many connections for good. */
  | { readonly type: 'fleet-fixed'; readonly pool: string; readonly share: number }
  /** The fleet could not be asked, the first time in a row: this instance keeps what it has. */
  | { readonly type: 'fleet-failed'; readonly pool: string; readonly error: unknown }
  /** The application has dropped the locks of a connection's session; if there was no slot for it, it was closed. */
  | { readonly type: 'slot-lost'; readonly pool: string; readonly isRegained: boolean }
  /** The server has refused a connection, because others have taken what was free. Callers wait. */
  | { readonly type: 'server-full'; readonly pool: string }

export interface FleetStats {
  /** joining: without a connection so far. shared: by slots. fixed: behind a pooler. */
  readonly mode: 'joining' | 'shared' | 'fixed'
  /** Connections that this instance may have; undefined while joining. */
  readonly share: number | undefined
  /** Connections that hold a slot. */
  readonly held: number
  /** Slots for connections to come. */
  readonly reserved: number
  /** What the others were told that this instance has use for. */
  readonly demand: number
  /** Instances; undefined where they cannot be seen. */
  readonly members: number | undefined
  /** Connections of all members together; undefined until the server was asked. */
  readonly ceiling: number | undefined
  /** How often the server was asked about the fleet, and how often in vain. */
  readonly looks: number
  readonly failedLooks: number
  /** Slots that the application has dropped. */
  readonly lostSlots: number
  /** Connections that the server has refused. */
  readonly refused: number
}

/** Kind `rejected`, code `POOL_FLEET_FULL`. */
export function fleetFull(name: string, members: number, ceiling: number): BreakwaterError {
  const message = `pool "${name}": no connection is free in its fleet (${members} instances, ${ceiling} connections for all of them)`
  return new BreakwaterError('rejected', 'POOL_FLEET_FULL', message)
}

/** As `fleetFull`: nobody knows whether one is free. */
export function fleetUnknown(name: string, cause: unknown): BreakwaterError {
  const message = `pool "${name}": its fleet could not be asked for another connection`
  return new BreakwaterError('rejected', 'POOL_FLEET_FULL', message, { cause })
}

/** Tells whether a connection was refused because there is no more for it, here or in the server. */
export function isRefusal(error: unknown): boolean {
  return isFleetFull(error) || isServerFull(error)
}

export function isFleetFull(error: unknown): boolean {
  return codeOf(error) === 'POOL_FLEET_FULL'
}

/** The server's own word for it: of the whole server, of the database, or of the role. */
export function isServerFull(error: unknown): boolean {
  return codeOf(error) === '53300'
}

function codeOf(error: unknown): unknown {
  return (Object(error) as { code?: unknown }).code
}
