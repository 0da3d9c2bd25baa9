/** That the database holds what replies are compared with. */

import { testPostgres } from '@breakwater/testkit/vitest'
import pg from 'pg'
import { expect, it } from 'vitest'
import { entities } from './entities.js'
import { ensureTemplate, fillCities, TEMPLATE } from './template.js'
import { type City, loadWorld } from './world.js'

const world = await loadWorld()

it('gives the database exactly the rows that replies are compared with', async () => {
  await using database = await testPostgres().createDatabase()
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await fillCities(client, world)
    const rows = await database.query<City>(entities.city.sql.replace('where id = $1', 'order by population desc, id'))
    expect(rows).toEqual(world.cities)

    const country = entities.country.truth(world)
    for (const code of ['US', 'LI', 'FR', 'no such country']) {
      const [report = null] = await database.query(entities.country.sql, [code])
      expect(report).toEqual(country(code))
    }
  } finally {
    await client.end()
  }
})

it('makes the template once, and finds it the next time', async () => {
  const server = testPostgres()
  const find = async () => {
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    const { rows } = await client.query('select oid from pg_database where datname = $1', [TEMPLATE])
    await client.end()
    return rows
  }
  await ensureTemplate(server.url)
  const first = await find()
  expect(first).toHaveLength(1)
  await ensureTemplate(server.url)
  expect(await find()).toEqual(first)

  await using copy = await server.createDatabase({ template: TEMPLATE })
  expect(await copy.query('select count(*)::int as cities from cities')).toEqual([{ cities: world.cities.length }])
})
