/** OpenTelemetry's instrumentation of pg sees of our Pool what it sees of pg's. */

import { expect, it } from 'vitest'
import { useDatabase } from '../kit/database.js'
import { runFixture } from '../kit/run.js'

const database = useDatabase()

it('sees the same spans under the same parents, and reports the same metrics', async () => {
  const fixture = new URL('opentelemetry.fixture.ts', import.meta.url)
  const outcomes = ['pg', 'ours'].map(contender => runFixture(fixture, [contender, database.url]))
  const [stock, ours] = (await Promise.all(outcomes)).map(({ code, stderr, lines }) => {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const isConnect = (line: string): boolean => line.endsWith('pg.connect')
    return { connects: lines.filter(isConnect), others: lines.filter(line => !isConnect(line)) }
  })
  expect(stock?.others).toEqual(expect.arrayContaining(['a client > pg-pool.connect', 'db.client.connection.count']))
  expect(ours?.others).toEqual(stock?.others)
  // A connect is nobody's: whoever comes first gets it. And the query that failed has not cost a connection.
  expect(stock?.connects).toContain('a client > pg-pool.connect > pg.connect')
  expect(ours?.connects).toEqual(['pg.connect', 'pg.connect'])
})
