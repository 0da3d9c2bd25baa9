/** Options of the drop-in: what pg takes is taken as pg takes it, and all that is wrong is said at once. */

import { describe, expect, it } from 'vitest'
import type { FleetOptions } from './fleet/options.js'
import { Pool } from './pool.js'
import { type PoolConfig, resolvePoolOptions } from './pool-options.js'

const engineOptions = (options?: object | null) => resolvePoolOptions(options as PoolConfig).engine

describe('pool options', () => {
  it('have the defaults of pg, but for a time-out', () => {
    for (const none of [undefined, null, {}]) {
      expect(engineOptions(none)).toMatchObject({
        name: 'postgres',
        max: 10,
        min: 0,
        acquireTimeout: 5_000,
        createTimeout: 4_990,
        idleTimeout: 10_000,
        maxLifetime: Number.POSITIVE_INFINITY,
        maxUses: Number.POSITIVE_INFINITY,
      })
    }
  })

  it.each([
    ['poolSize as another name of max', { poolSize: 7 }, { max: 7 }],
    ['a number out of an environment variable', { max: '20', idleTimeoutMillis: '50' }, { max: 20, idleTimeout: 50 }],
    ['no limit on connections', { max: Number.POSITIVE_INFINITY }, { max: Number.POSITIVE_INFINITY }],
    ['a share of the cores', { max: 2.5 }, { max: 3 }],
    ['a min above max', { min: 9, max: 4 }, { min: 4, max: 4 }],
    ['what is falsy for max and min', { max: 0, min: null }, { max: 10, min: 0 }],
    ['0 and null for never', { idleTimeoutMillis: 0 }, { idleTimeout: Number.POSITIVE_INFINITY }],
    ['null for never', { connectionTimeoutMillis: null }, { acquireTimeout: Number.POSITIVE_INFINITY }],
    ['seconds for the lifetime', { maxLifetimeSeconds: 60 }, { maxLifetime: 60_000 }],
  ])('take %s', (_, given, read) => {
    expect(engineOptions(given)).toMatchObject(read)
    expect(() => new Pool(given as PoolConfig)).not.toThrow()
  })

  it('that are wrong are refused all at once', () => {
    const wrong = {
      max: -1,
      min: 'some',
      idleTimeoutMillis: -5,
      connectionTimeoutMillis: 'soon',
      verify: 'yes',
      onQueryError: 'ignore',
      drainTimeout: '5 sec',
      maxPending: -1,
      maxCreating: 0,
      lifetimeJitter: 2,
      leakWarningAfter: 'soon',
      reclaimLeaked: 'yes',
      shed: { target: -1 },
      health: { idle: 500 },
      name: '',
      fleet: { keepFree: -1, namespace: 5, instances: 0.5, size: 3 },
    }
    expect(() => new Pool(wrong as unknown as PoolConfig)).toThrow(
      expect.objectContaining({ kind: 'usage', code: 'POOL_OPTIONS_INVALID' }),
    )
    for (const name of Object.keys(wrong)) expect(() => new Pool(wrong as unknown as PoolConfig)).toThrow(name)
  })

  it('of a fleet are named with what is wrong with them', () => {
    const fleet = { keepFree: -1, namespace: 5, instances: 0.5, size: 3 } as unknown as FleetOptions
    expect(() => new Pool({ fleet })).toThrow(/fleet.size .*fleet.keepFree .*fleet.namespace .*fleet.instances /)
    expect(() => new Pool({ fleet: 'yes' as unknown as boolean })).toThrow('fleet must be true, false or an object')
  })

  it.each([
    ['health', { health: false }, { engine: { shed: { target: 50, interval: 2_000 } }, health: undefined }],
    ['shedding', { shed: false }, { engine: { shed: false, validateAfterIdle: 500, validateTimeout: 1_000 } }],
    ['a part of health', { health: { deadAfter: Number.POSITIVE_INFINITY } }, { health: { timeoutMs: 1_000 } }],
  ])('turn %s off', (_, given, read) => {
    expect(resolvePoolOptions(given as PoolConfig)).toMatchObject(read)
  })

  it('are not changed', () => {
    const given = Object.freeze({ max: 3 })
    const pool = new Pool(given)
    expect(given).toEqual({ max: 3 })
    expect(pool.options).not.toBe(given)
  })
})
