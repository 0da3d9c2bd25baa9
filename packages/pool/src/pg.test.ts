/** The mirror of the `pg` module: everything of it, with another Pool. */

import original from 'pg'
import { expect, it } from 'vitest'
import pg, * as named from './pg.js'
import { Pool } from './pool.js'

it('has all that pg has, with its Pool replaced', () => {
  const { Pool: ownPool, ...rest } = pg
  const { Pool: _, ...originalRest } = original
  expect(ownPool).toBe(Pool)
  expect(rest).toEqual(originalRest)
  expect(pg.Client).toBe(original.Client)
})

it('shares what can be set, such as defaults', () => {
  expect(pg.defaults).toBe(original.defaults)
  expect(pg.types).toBe(original.types)
})

it('has a native side as pg has one: none without pg-native', () => {
  expect(Object.keys(pg)).not.toContain('native')
  expect(pg.native).toBe(original.native)
})

it('has the same by name as in the default export', () => {
  const { default: _, 'module.exports': required, ...exports } = named
  expect(required).toBe(pg)
  expect(exports).toMatchObject({ Pool, Client: original.Client, types: original.types })
  for (const [name, value] of Object.entries(exports)) expect(value).toBe(pg[name as 'Client'])
})

it('names the types of pg', async () => {
  const pool: pg.Pool = new pg.Pool({ max: 1 } satisfies pg.PoolConfig)
  const typed: original.Pool = pool
  const PoolOfPg: typeof original.Pool = pg.Pool
  const query: pg.Query<{ one: number }> = new original.Query('select 1 as one')
  expect(typed).toBeInstanceOf(PoolOfPg)
  expect(query).toBeInstanceOf(pg.Query)
  await pool.end()
})
