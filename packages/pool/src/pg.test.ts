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
  const { default: _, ...exports } = named
  expect(exports).toMatchObject({ Pool, Client: original.Client, types: original.types })
  for (const [name, value] of Object.entries(exports)) expect(value).toBe(pg[name as 'Client'])
})

it('names the types of pg', async () => {
  const pool: pg.Pool = new pg.Pool({ max: 1 } satisfies pg.PoolConfig)
  const typed: original.Pool = pool
  expect(typed).toBeInstanceOf(original.Pool)
  await pool.end()
})
