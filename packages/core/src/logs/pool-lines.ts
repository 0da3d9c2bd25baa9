/** What a pool reports, as log lines, in the trace of the request that it happened to. */

import type { Clock, Logger } from '@breakwater/kernel'
import type { PoolEvent } from '@breakwater/pool'
import { reasonOf } from '../lifecycle/failure.js'

/** Lines of one kind in so many ms; what is beyond is counted in the next line. An outage has as many victims as callers. */
const MOST = { lines: 10, ms: 1_000 }
/** A size that is found out changes with the load. */
const MOST_OF_SIZES = { lines: 1, ms: 10_000 }

/** Returns a listener for `pool.observe`. */
export function logPool(logger: Logger, clock: Clock): (event: PoolEvent) => void {
  const limits = new Map<string, Limit>()
  return event => {
    const line = lineOf(event)
    if (line === undefined) return
    const limit = limits.get(event.type) ?? new Limit(clock, event.type === 'sized' ? MOST_OF_SIZES : MOST)
    limits.set(event.type, limit)
    const suppressed = limit.take()
    if (suppressed === undefined) return
    const name = `pool.${event.type.replaceAll('-', '_')}`
    const fields = { event: name, pool: event.pool, ...line.fields, ...(suppressed > 0 && { suppressed }) }
    logger[line.level ?? 'warn'](fields, `pool "${event.pool}": ${line.message}`)
  }
}

interface Line {
  /** Default `warn`. */
  readonly level?: 'info'
  readonly message: string
  readonly fields?: object
}

function lineOf(event: PoolEvent): Line | undefined {
  switch (event.type) {
    case 'create-failed': {
      const fields = { 'error.type': reasonOf(event.error), duration_ms: rounded(event.elapsedMs) }
      return { message: 'a connect failed', fields }
    }
    case 'acquire-timed-out':
      return { message: 'a caller waited for a connection in vain', fields: { duration_ms: rounded(event.elapsedMs) } }
    case 'connection-lost': {
      const { inUse, processId, acquiredAt, error } = event
      const fields = { 'error.type': reasonOf(error), in_use: inUse, process_id: processId, acquired_at: acquiredAt }
      return { message: `a connection was lost, ${inUse ? 'in use' : 'idle'}`, fields }
    }
    case 'transaction-left-open': {
      const { rolledBack, acquiredAt } = event
      const fields = { rolled_back: rolledBack, acquired_at: acquiredAt }
      return { message: 'a client was released inside a transaction', fields }
    }
    case 'lease-leaked': {
      const { heldMs, acquiredAt, reclaimed } = event
      const fields = { duration_ms: rounded(heldMs), acquired_at: acquiredAt, reclaimed }
      return { message: 'a client is held for too long', fields }
    }
    case 'stop-forced': {
      const { pending, leased, creating } = event
      return { message: 'ended by force', fields: { pending, leased, creating } }
    }
    case 'sized': {
      const { size, load, need, boundBy, qps, holdMs, slowdown } = event
      const message = `${size} connections: ${rounded(load)} in use need ${need}, bound by ${boundBy}`
      const facts = { qps: rounded(qps), hold_ms: rounded(holdMs), slowdown: rounded(slowdown) }
      return { level: 'info', message, fields: { size, load: rounded(load), need, bound_by: boundBy, ...facts } }
    }
    case 'destroy-failed':
      return { message: 'a connection could not be closed', fields: { 'error.type': reasonOf(event.error) } }
    default:
      return undefined
  }
}

/** Counts what it lets through in a time, and what it does not. */
class Limit {
  readonly #clock: Clock
  readonly #most: typeof MOST
  #since = Number.NEGATIVE_INFINITY
  #let = 0
  #suppressed = 0

  constructor(clock: Clock, most: typeof MOST) {
    this.#clock = clock
    this.#most = most
  }

  /** Returns how many were suppressed before this one; undefined if it is, too. */
  take(): number | undefined {
    const now = this.#clock.now()
    if (now - this.#since >= this.#most.ms) {
      this.#since = now
      this.#let = 0
    }
    if (this.#let >= this.#most.lines) {
      this.#suppressed++
      return undefined
    }
    this.#let++
    const suppressed = this.#suppressed
    this.#suppressed = 0
    return suppressed
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
