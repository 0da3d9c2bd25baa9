/** What a pool reports, line by line: no more of a kind than somebody could read, and never what happened unseen. */

import type { PoolEvent } from '@breakwater/pool'
import { FakeClock } from '@breakwater/testkit'
import { beforeEach, expect, it } from 'vitest'
import { logPool } from './pool-lines.js'

let clock: FakeClock
let lines: (Record<string, unknown> & { message: string })[]
let tell: (event: PoolEvent) => void
beforeEach(() => {
  clock = new FakeClock()
  lines = []
  const note = (fields: object, message: string): void => void lines.push({ ...fields, message })
  tell = logPool({ info: note, warn: note }, clock)
})

const timedOut: PoolEvent = { type: 'acquire-timed-out', pool: 'orders', elapsedMs: 250.04 }

it('are ten a second of each kind; the next one says how many were suppressed', async () => {
  for (let i = 0; i < 25; i++) tell(timedOut)
  tell({ type: 'destroy-failed', pool: 'orders', error: new Error('secret') })
  expect(lines.map(({ event }) => event)).toEqual([...Array(10).fill('pool.acquire_timed_out'), 'pool.destroy_failed'])
  await clock.advance(1_000)
  tell(timedOut)
  tell(timedOut)
  expect(lines.slice(11).map(({ suppressed }) => suppressed)).toEqual([15, undefined])
})

it('say what happened to whom, and nothing that may be secret', () => {
  tell(timedOut)
  tell({ type: 'create-failed', pool: 'orders', error: new Error('secret'), elapsedMs: 12.34 } as PoolEvent)
  tell({ type: 'lease-leaked', pool: 'orders', heldMs: 60_000, acquiredAt: 'at f', reclaimed: true } as PoolEvent)
  tell({ type: 'transaction-left-open', pool: 'orders', rolledBack: true, acquiredAt: 'at f' })
  const error = Object.assign(new Error('secret'), { code: '57P01' })
  tell({ type: 'connection-lost', pool: 'orders', inUse: true, error, processId: 7, acquiredAt: undefined })
  tell({ type: 'names-off', pool: 'orders', code: '26000' })
  expect(lines).toEqual([
    expect.objectContaining({ event: 'pool.acquire_timed_out', pool: 'orders', duration_ms: 250 }),
    expect.objectContaining({ event: 'pool.create_failed', 'error.type': 'Error', duration_ms: 12.3 }),
    expect.objectContaining({ event: 'pool.lease_leaked', acquired_at: 'at f', duration_ms: 60_000, reclaimed: true }),
    expect.objectContaining({ event: 'pool.transaction_left_open', rolled_back: true, acquired_at: 'at f' }),
    expect.objectContaining({ event: 'pool.connection_lost', 'error.type': '57P01', in_use: true, process_id: 7 }),
  ])
  expect(JSON.stringify(lines)).not.toContain('secret')
})

it('say how large a pool is and why, at most every ten seconds', async () => {
  const sized = {
    type: 'sized',
    pool: 'orders',
    size: 17,
    load: 10.04,
    need: 17,
    boundBy: 'need',
    qps: 500,
    holdMs: 20,
  }
  const levels: string[] = []
  tell = logPool({ info: (...line) => levels.push(`info ${line[1]}`), warn: () => levels.push('warn') }, clock)
  for (let i = 0; i < 3; i++) tell({ ...sized, slowdown: 1 } as PoolEvent)
  expect(levels).toEqual(['info pool "orders": 17 connections: 10 in use need 17, bound by need'])
  await clock.advance(10_000)
  tell({ ...sized, slowdown: 1 } as PoolEvent)
  expect(levels).toHaveLength(2)
})
