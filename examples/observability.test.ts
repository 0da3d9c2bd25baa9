import { spawn } from 'node:child_process'
import { assertGraceful } from '@breakwater/core/testing'
import { buildProgram, eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { expect, it } from 'vitest'

const service = await buildProgram(new URL('observability.ts', import.meta.url))
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'

it('the service draws its start, logs in the trace of the request, and tells its metrics', async () => {
  await using database = await testPostgres().createDatabase()
  await database.query("CREATE TABLE orders AS SELECT 'de' AS country FROM generate_series(1, 7)")
  const env = { ...process.env, DATABASE_URL: database.url, REDIS_URL: testRedis().url, PORT: '0' }
  let scraped = ''
  let answers = 0
  const { output } = await assertGraceful(() => spawn(process.execPath, service.args, { env, stdio: 'pipe' }), {
    ready: /listening on (\d+)/,
    startTimeout: '1m',
    loadFor: 0,
    concurrency: 2,
    load: async ({ match, n }) => {
      const url = `http://127.0.0.1:${match?.[1]}`
      const headers = { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }
      const text = await (await fetch(n === 0 ? `${url}/de` : `${url}/metrics`, { headers })).text()
      if (n === 0) expect(text).toBe('7\n')
      else scraped = text
      answers++
    },
    signal: child => void eventually(() => answers === 2, 30_000).finally(() => child.kill('SIGTERM')),
  })
  expect(output).toMatch(/^start: \d+ ms$/m)
  expect(output).toMatch(/warm-up query/)
  const lines = output.split('\n').filter(line => line.startsWith('{'))
  const counted = lines.map(line => JSON.parse(line)).find(({ event }) => event === 'orders.counted')
  expect(counted).toMatchObject({ level: 'INFO', service: 'orders', total: 7, trace_id: TRACE })
  expect(scraped).toContain('breakwater_cache_requests_total{breakwater_cache_space="totals"')
  expect(scraped).toMatch(/^db_client_operation_duration_seconds_count\{.*\} \d+$/m)
}, 90_000)
