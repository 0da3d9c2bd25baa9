/** A pool whose size changes while it runs: by the application, or by itself. */

import { eventually } from '@breakwater/testkit'
import { describe, expect, it } from 'vitest'
import { leisurelyClock } from '../../test/leisurely-clock.js'
import { times, useDatabase } from '../../test/pool-kit.js'
import { learn } from '../../test/sharing-kit.js'
import { Pool } from '../pool.js'
import type { PoolEvent } from '../pool-events.js'

const database = useDatabase()
/** Keeps its backend at work, as far as the pool can see, and costs no more than a wait. */
const QUICK = 'select pg_sleep(0.0004)'

describe('resize', () => {
  it('changes max and min while callers wait', async () => {
    const pool = database.pool({ max: 1 })
    const answers = times(3, () => pool.query('select pg_sleep(0.2)'))
    expect(pool.totalCount).toBe(1)
    pool.resize({ max: 3 })
    await answers
    expect(pool.totalCount).toBe(3)
    expect(pool.options.max).toBe(3)
    pool.resize({ max: 1 })
    expect(pool.totalCount).toBe(1)
    expect(() => pool.resize({ max: 0 })).toThrow(expect.objectContaining({ code: 'POOL_OPTIONS_INVALID' }))
    expect(pool.stats()).toMatchObject({ max: 1, min: 0 })
  })

  it('is what an assignment to options.max comes to when the next caller waits, as with pg', async () => {
    const pool = database.pool({ max: 1 })
    await pool.query('select 1')
    pool.options.max = 2
    await times(2, () => pool.query('select pg_sleep(0.1)'))
    expect(pool.totalCount).toBe(2)
  })
})

describe('sizing', () => {
  it('by a known load sets the size, tells why once, and shows it', async () => {
    const pool = database.pool({ sizing: { targetQps: 200, holdMs: 10 } })
    const events: PoolEvent[] = []
    pool.observe(event => events.push(event))
    await pool.query('select 1')
    const why = { size: 6, need: 6, load: 2, boundBy: 'need', qps: 200, holdMs: 10, slowdown: 1 }
    expect(events.filter(({ type }) => type === 'sized')).toEqual([{ type: 'sized', pool: 'postgres', ...why }])
    expect(pool.stats()).toMatchObject({ max: 6, sizing: why })
    expect(pool.options.max).toBe(100)
  })

  it('is bounded by max, which says so', () => {
    const pool = database.pool({ max: 3, sizing: { targetQps: 200, holdMs: 10 } })
    expect(pool.stats()).toMatchObject({ max: 3, sizing: { size: 3, need: 6, boundBy: 'max' } })
  })

  it('by itself starts with the least, and grows to what its callers have use for', async () => {
    const pool = database.pool({ sizing: 'auto', max: 20 })
    expect(pool.stats().max).toBe(1)
    let isOver = false
    const callers = times(8, async () => {
      while (!isOver) await pool.query('select pg_sleep(0.02)')
    })
    await eventually(() => {
      expect(pool.stats().sizing).toMatchObject({ size: 8 })
      expect(pool.totalCount).toBe(8)
    }, 10_000)
    isOver = true
    await callers
  })

  it('by itself gives queries that share a connection another one when its server is at the limit, and no more', async () => {
    const pool = database.pool({ sizing: 'auto', max: 20, clock: leisurelyClock })
    await learn(pool, QUICK)
    expect(pool.stats().max).toBe(1)
    let isOver = false
    const callers = times(200, async () => {
      while (!isOver) await pool.query(QUICK)
    })
    await eventually(() => expect(pool.stats().lanes?.open).toBeGreaterThanOrEqual(2), 20_000)
    // Nobody has waited for one of his own.
    expect(pool.stats()).toMatchObject({ pending: 0 })
    expect(pool.stats().max).toBeLessThan(20)
    isOver = true
    await callers
  })

  it('that is wrong is refused with all else', () => {
    const wrong = { max: -1, sizing: { targetQps: -1, holdMs: 'x', size: 5 } }
    expect(() => new Pool(wrong as never)).toThrow(/sizing.size .*sizing.targetQps .*sizing.holdMs .*max /)
    expect(() => new Pool({ sizing: 'automatic' as 'auto' })).toThrow("sizing must be 'auto', or an object")
  })
})
