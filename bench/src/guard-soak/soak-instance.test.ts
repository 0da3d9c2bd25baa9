/** The judge of the soak: it finds a row that is denied, or the soak would prove nothing. */

import { eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { expect, it } from 'vitest'
import { SoakInstance } from './soak-instance.js'
import { CHANNEL, CREATE_ITEMS } from './table.js'

it('an instance of the soak finds a row that was inserted past the guard, and holds nothing else against it', async () => {
  await using database = await testPostgres().createDatabase()
  await database.query(CREATE_ITEMS)
  await database.query('insert into items select 2 * n from generate_series(1, 500) n')
  const namespace = `t-${Math.random().toString(36).slice(2)}`
  const place = { instance: 0, postgresUrl: database.url, redisUrl: testRedis().url, namespace, seed: 1 }
  const instance = await SoakInstance.open(place)
  try {
    instance.begin()
    await eventually(() => {
      const { inserted, existing, absent, reads } = instance.state().counts
      expect(Math.min(inserted, existing, absent)).toBeGreaterThan(10)
      expect(reads).toBeGreaterThanOrEqual(0)
    })
    expect(instance.state().counts).toMatchObject({ falseNegatives: 0, wrongReads: 0 })
    await database.query(`insert into items values (1000000002); select pg_notify('${CHANNEL}', '1000000002')`)
    await eventually(() => expect(instance.state().counts.falseNegatives).toBeGreaterThan(0))
    expect(instance.state().evidence[0]).toContain('1000000002')
  } finally {
    await instance.close()
  }
})
