/** What a scrape gives: read by a parser of Prometheus's own format, and right for several pools. */

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool } from '@breakwater/pool'
import { type Database, eventually } from '@breakwater/testkit'
import { testPostgres, testRedis } from '@breakwater/testkit/vitest'
import { parser } from '@prometheus-io/lezer-promql'
// @ts-expect-error it has no types
import parsePrometheus from 'parse-prometheus-text-format'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { createDataAccess, type DataAccess } from '../data-access.js'
import { CATALOG, type MetricName, prometheusName } from './catalog.js'
import { prometheus } from './prometheus.js'

interface Family {
  readonly name: string
  readonly metrics: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: string }[]
}

/** Every row by its own name: told that they are a histogram's, the parser would put those of all labels into one. */
function read(text: string): Family[] {
  return parsePrometheus(text.replaceAll(/^(# TYPE \S+) histogram$/gm, '$1 untyped'))
}

let database: Database
beforeAll(async () => {
  database = await testPostgres().createDatabase()
})
afterAll(() => database.drop())

async function start(): Promise<{ data: DataAccess; reports: Pool }> {
  const data = createDataAccess({
    postgres: { connectionString: database.url, max: 3, min: 1 },
    redis: { url: testRedis().url },
    cache: { namespace: `metrics-${process.pid}` },
  })
  // Called as the other one is.
  const reports = new Pool({ connectionString: database.url, max: 7 })
  onTestFinished(async () => {
    await Promise.all([data.dispose(), reports.dispose({ deadline: 0 })])
  })
  await data.init()
  return { data, reports }
}

/** The one row with that name and these labels. */
function row(families: Family[], name: string, labels: Record<string, string> = {}): Family['metrics'][number] {
  const wanted = Object.entries(labels)
  const rows = families.filter(each => each.name === name).flatMap(each => each.metrics)
  const found = rows.filter(metric => wanted.every(([label, value]) => metric.labels?.[label] === value))
  const [only] = found
  if (found.length !== 1 || only === undefined) throw new Error(`${found.length} of ${name} ${JSON.stringify(labels)}`)
  return only
}

function figure(families: Family[], name: MetricName, labels: Record<string, string> = {}, end = ''): number {
  return Number(row(families, prometheusName(name) + end, labels).value)
}

describe('the endpoint of Prometheus', () => {
  it('tells the whole set for each of several pools, also of those that are called the same', async () => {
    const { data, reports } = await start()
    await Promise.all([data.pool.query('select 1'), data.pool.query('select pg_sleep(0.03)')])
    await data.pool.query('select bad').catch(() => undefined)
    const client = await reports.connect()
    await client.query('select 1')
    const exporter = prometheus(data, { pools: [reports] })
    const text = await exporter.text()
    const families = read(text)
    client.release()

    const own = { db_client_connection_pool_name: 'postgres' }
    const other = { db_client_connection_pool_name: 'postgres-2' }
    expect(figure(families, 'db.client.connection.max', own)).toBe(3)
    expect(figure(families, 'db.client.connection.max', other)).toBe(7)
    expect(figure(families, 'db.client.connection.idle.min', own)).toBe(1)
    const used = { db_client_connection_state: 'used' }
    expect(figure(families, 'db.client.connection.count', { ...own, ...used })).toBe(0)
    expect(figure(families, 'db.client.connection.count', { ...other, ...used })).toBe(1)
    const { query, queryFailed, wait, create } = data.pool.stats()
    const operations = 'db.client.operation.duration'
    const namespace = new URL(database.url).pathname.slice(1)
    const sql = { ...own, db_system_name: 'postgresql', db_namespace: namespace }
    const failed = { ...sql, error_type: '42703' }
    const succeeded = (end: string, labels = {}): number => {
      const rows = families
        .filter(({ name }) => name === prometheusName(operations) + end)
        .flatMap(each => each.metrics)
      return figure(
        [{ name: prometheusName(operations) + end, metrics: rows.filter(each => !each.labels?.error_type) }],
        operations,
        { ...sql, ...labels },
        end,
      )
    }
    expect(text).toContain('# TYPE db_client_operation_duration_seconds histogram')
    expect(succeeded('_count')).toBe(query.count)
    expect(succeeded('_sum')).toBeCloseTo(query.sumMs / 1_000, 9)
    expect(succeeded('_bucket', { le: '+Inf' })).toBe(query.count)
    expect(succeeded('_bucket', { le: '0.02' })).toBe(query.buckets.slice(0, 5).reduce((a, b) => a + b))
    expect(figure(families, operations, failed, '_count')).toBe(1)
    expect(queryFailed).toMatchObject({ 42703: { count: 1 } })
    expect(figure(families, 'db.client.connection.wait_time', own, '_count')).toBe(wait.count)
    expect(figure(families, 'db.client.connection.create_time', own, '_count')).toBe(create.count)
    expect(figure(families, 'db.client.connection.use_time', other, '_count')).toBe(0)
  })

  it('counts what cannot be served, by pool', async () => {
    const { data, reports } = await start()
    const holders = await Promise.all([1, 2, 3].map(() => data.pool.connect()))
    const waiting = data.pool.connect({ timeout: 50 }).catch(error => error)
    await eventually(() => expect(data.pool.stats().pending).toBe(1))
    const { text } = prometheus(data, { pools: [reports] })
    const own = { db_client_connection_pool_name: 'postgres' }
    expect(figure(read(await text()), 'db.client.connection.pending_requests', own)).toBe(1)
    await waiting
    const families = read(await text())
    expect(figure(families, 'db.client.connection.pending_requests', own)).toBe(0)
    expect(figure(families, 'db.client.connection.timeouts', own)).toBe(1)
    expect(figure(families, 'db.client.connection.timeouts', { db_client_connection_pool_name: 'postgres-2' })).toBe(0)
    for (const client of holders) client.release()
  })

  it('tells of the cache by space, and of no key', async () => {
    const { data, reports } = await start()
    const users = data.cache.space<string>('user', { ttl: '1m', load: async id => `name of ${id}` })
    const orders = data.cache.space<string>('order', { ttl: '1m', load: () => Promise.reject(new Error('no table')) })
    await users.get('secret-key')
    // Its callers have not waited for the fill.
    await eventually(() => expect(users.peek('secret-key')).toBeDefined())
    await users.get('secret-key')
    await orders.get('secret-key').catch(() => undefined)
    const text = await prometheus(data, { pools: [reports] }).text()
    const families = read(text)
    const by = (space: string, result: string) => ({ breakwater_cache_space: space, breakwater_cache_result: result })
    expect(figure(families, 'breakwater.cache.requests', by('user', 'loader'))).toBe(1)
    expect(figure(families, 'breakwater.cache.requests', by('user', 'memory'))).toBe(1)
    expect(figure(families, 'breakwater.cache.load.failures', { breakwater_cache_space: 'order' })).toBe(1)
    expect(figure(families, 'breakwater.cache.load.duration', { breakwater_cache_space: 'user' }, '_count')).toBe(1)
    const breaker = { breakwater_breaker_name: 'redis', breakwater_breaker_state: 'closed' }
    expect(figure(families, 'breakwater.breaker.state', breaker)).toBe(1)
    expect(text).not.toContain('secret-key')
  })

  it('tells of the start and the stop', async () => {
    const { data } = await start()
    const { text } = prometheus(data)
    const state = (name: string) => ({ breakwater_lifecycle_state: name })
    let families = read(await text())
    expect(figure(families, 'breakwater.lifecycle.state', state('ready'))).toBe(1)
    const step = { breakwater_component: 'postgres', breakwater_lifecycle_phase: 'start' }
    const took = data.timeline().steps.find(each => each.name === 'postgres')?.durationMs ?? 0
    expect(figure(families, 'breakwater.lifecycle.step.duration', step)).toBeCloseTo(took / 1_000, 9)
    expect(figure(families, 'breakwater.lifecycle.start.duration')).toBeGreaterThan(took / 1_000)
    await data.dispose()
    families = read(await text())
    expect(figure(families, 'breakwater.lifecycle.state', state('stopped'))).toBe(1)
    expect(figure(families, 'breakwater.lifecycle.shutdown.forced', {})).toBe(0)
  })

  it('answers over HTTP where it is asked, and nowhere else', async () => {
    const { data } = await start()
    const { handler } = prometheus(data)
    const server = createServer((request, response) => {
      if (!handler(request, response)) response.writeHead(404).end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const response = await fetch(`${url}/metrics?x=1`)
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
    expect(parsePrometheus(await response.text())).not.toHaveLength(0)
    expect((await fetch(`${url}/metric`)).status).toBe(404)
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(404)
    server.closeAllConnections()
  })
})

describe('what is shipped for Prometheus and Grafana', () => {
  const folder = new URL('../../observability/', import.meta.url)

  /** The names of the metrics that an expression reads, which must be one. */
  function metricsIn(expression: string): string[] {
    const found: string[] = []
    parser.parse(expression).iterate({
      enter: node => {
        expect(node.type.isError, `${expression} at ${node.from}`).toBe(false)
        if (node.name === 'Identifier' && node.node.parent?.name === 'VectorSelector') {
          found.push(expression.slice(node.from, node.to))
        }
      },
    })
    expect(found, expression).not.toHaveLength(0)
    return found
  }

  /** As a scrape has them, those of histograms among them. */
  const known = new Set(
    (Object.keys(CATALOG) as MetricName[]).flatMap(name => {
      const base = prometheusName(name)
      return CATALOG[name].type === 'histogram' ? ['_bucket', '_sum', '_count'].map(end => base + end) : [base]
    }),
  )

  it('alert rules: each expression parses and reads only metrics that there are', async () => {
    const { groups } = parseYaml(await readFile(new URL('alerts.yaml', folder), 'utf8')) as {
      groups: { rules: { alert: string; expr: string; labels: object; annotations: { summary: string } }[] }[]
    }
    const rules = groups.flatMap(group => group.rules)
    expect(rules.length).toBeGreaterThan(8)
    for (const { alert, expr, annotations } of rules) {
      expect(annotations.summary, alert).not.toBe('')
      for (const metric of metricsIn(expr)) expect(known, `${alert}: ${metric}`).toContain(metric)
    }
  })

  it('dashboard: each expression parses and reads only metrics that there are', async () => {
    const { panels } = JSON.parse(await readFile(new URL('dashboard.json', folder), 'utf8')) as {
      panels: { title: string; targets?: { expr: string }[] }[]
    }
    const targets = panels.flatMap(panel => panel.targets ?? [])
    expect(targets.length).toBeGreaterThan(12)
    for (const { expr } of targets) {
      const plain = expr.replaceAll('$__rate_interval', '5m').replaceAll('$pool', '.*').replaceAll('$space', '.*')
      for (const metric of metricsIn(plain)) expect(known).toContain(metric)
    }
  })

  it('a wrong name or a wrong expression would be seen', () => {
    expect(() => metricsIn('rate(db_client_connection_timeouts_total[5m')).toThrow()
    expect(known).not.toContain('db_client_connection_timeouts')
  })
})
