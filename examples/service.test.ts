import { spawn } from 'node:child_process'
import { assertGraceful } from '@breakwater/core/testing'
import { buildProgram } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { expect, it } from 'vitest'

const service = await buildProgram(new URL('service.ts', import.meta.url))

it('the service stops without losing an order', async () => {
  await using database = await testPostgres().createDatabase()
  await database.query(
    'CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY, shipped boolean NOT NULL DEFAULT false)',
  )
  await database.query(`CREATE TABLE jobs (id bigint GENERATED ALWAYS AS IDENTITY, payload jsonb NOT NULL,
    run_at timestamptz NOT NULL DEFAULT now(), attempts int NOT NULL DEFAULT 0)`)
  const env = { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url, PORT: '0' }
  const { loads, output } = await assertGraceful(() => spawn(process.execPath, service.args, { env, stdio: 'pipe' }), {
    ready: /listening on (\d+)/,
    loadFor: 500,
    load: async ({ match }) => {
      const response = await fetch(`http://127.0.0.1:${match?.[1]}/`, { method: 'POST' })
      if ((await response.text()) !== 'ordered\n') throw new Error(`answered ${response.status}`)
    },
  })
  expect(output).toContain('"message":"draining"')
  const [row] = await database.query<{ orders: number; left: number; shipped: number }>(
    `SELECT count(*)::int AS orders, (SELECT count(*)::int FROM jobs) AS left, count(*) FILTER (WHERE shipped)::int AS shipped FROM orders`,
  )
  expect(row?.orders).toBe(loads.succeeded)
  expect(row?.shipped).toBe(loads.succeeded - (row?.left ?? 0))
}, 60_000)
