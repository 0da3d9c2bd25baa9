/** How the service and each of its components is at this moment, as plain data. */

import { reasonOf } from './failure.js'
import type { ComponentState, Part } from './part.js'

export type HealthStatus = 'idle' | 'starting' | 'ready' | 'degraded' | 'failed' | 'stopping' | 'stopped'

export interface ComponentHealth {
  readonly state: ComponentState
  /** A code or class name that says why it is degraded or failed. */
  readonly reason?: string
}

export interface Health {
  /** `degraded`: ready, without an optional component. */
  readonly status: HealthStatus
  /** By name; empty before init(). */
  readonly components: Readonly<Record<string, ComponentHealth>>
}

export function healthOf(status: HealthStatus, parts: readonly Part[]): Health {
  const components = parts.map(part => [part.name, componentHealth(part)] as const)
  const degraded = status === 'ready' && components.some(([, health]) => isAway(health))
  return { status: degraded ? 'degraded' : status, components: Object.fromEntries(components) }
}

/** Tells whether work should be sent here: started, not stopping, and everything works that is not optional. */
export function isReady(status: HealthStatus, parts: readonly Part[]): boolean {
  return status === 'ready' && parts.every(part => part.component.optional || !isAway(componentHealth(part)))
}

/** Being started again is as good as not being there. */
function isAway({ state }: ComponentHealth): boolean {
  return state === 'degraded' || state === 'starting'
}

function componentHealth(part: Part): ComponentHealth {
  let { state } = part
  const isUp = part.component.isUp
  if (isUp !== undefined && (state === 'started' || state === 'degraded')) {
    state = isUp.call(part.component) ? 'started' : 'degraded'
  }
  const known = (state === 'degraded' || state === 'failed') && part.error !== undefined
  return known ? { state, reason: reasonOf(part.error) } : { state }
}
